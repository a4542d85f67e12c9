"""What the fused kernels do with one tile of numbers while it is in cache.

A tile is a stretch of memory: some rows of C channels, one behind another. A loop over C alone would vectorise badly
where channels are few, so the per-channel vectors come repeated to L = k*C numbers ("lanes"), and the loops run over L.
Sums are kept per lane too, in the precision of the data, for a few hundred numbers each; then they are folded into
float64 sums per channel.
"""

from minighost.engine.launch import tile
from minighost.engine.vectors import fill, lanes, load_part, store_part, where

__all__ = ["accumulate", "add_up", "finish", "fold", "line_of", "mask_and_add", "multiply_add", "normalise"]


@tile
def normalise(x, scale, shift, floor, out):
    """``out = max(scale*x + shift, floor)``, lane by lane; a floor of -inf means no ReLU, and NaN passes through."""
    L, low = len(scale), fill(x, floor)
    for q in range(0, len(x), L):
        n = min(L, len(x) - q)
        for k in range(0, n, lanes(x)):
            y = load_part(x, q + k, n - k) * load_part(scale, k, n - k) + load_part(shift, k, n - k)
            store_part(out, q + k, n - k, where(y <= low, low, y))


@tile
def multiply_add(dy, x, coefficients, out):
    """``out = scale*dy + slope*x + constant``: how a gradient passes batch norm; without columns it is only copied."""
    L = coefficients.shape[1]
    if L == 0:
        for k in range(len(dy)):
            out[k] = dy[k]
        return
    scale, slope, constant = coefficients[0], coefficients[1], coefficients[2]
    for q in range(0, len(x), L):
        n = min(L, len(x) - q)
        for k in range(0, n, lanes(x)):
            r = n - k
            v = load_part(scale, k, r) * load_part(dy, q + k, r) + load_part(slope, k, r) * load_part(x, q + k, r)
            store_part(out, q + k, r, v + load_part(constant, k, r))


@tile
def mask_and_add(dy, y, x, mean, floor, total, moment):
    """Zero the gradient where the activation y sits on its floor; add up ``dy`` and ``dy * (x - mean)``."""
    L, low, zero = len(mean), fill(x, floor), fill(x, 0)
    step = len(x) // L * L if len(x) >= L else max(1, len(x))
    for first in range(0, len(x), step):  # all whole rows, then what is left of one
        last = min(len(x), first + step)
        n = min(L, last - first)
        for k in range(0, n, lanes(x)):  # one register's width at a time, so that its sums stay in registers
            r = n - k
            middle, s, m = load_part(mean, k, r), load_part(total, k, r), load_part(moment, k, r)
            for q in range(first + k, last, n):
                d = where(load_part(y, q, r) <= low, zero, load_part(dy, q, r))
                store_part(dy, q, r, d)
                s, m = s + d, m + d * (load_part(x, q, r) - middle)
            store_part(total, k, r, s)
            store_part(moment, k, r, m)


@tile
def finish(d, x, norm, skip_grad, dx, sums):
    """Cut the gradient of a line where the ReLU cut, add the one that skips the layer, and take the sums of both."""
    zero, skips = fill(d, 0), len(skip_grad) > 0
    if norm.shape[1] == 0:
        for k in range(0, len(d), lanes(d)):
            n = len(d) - k
            v = load_part(d, k, n)
            store_part(dx, k, n, v + load_part(skip_grad, k, n) if skips else v)
        return
    scale, shift, mean, low, total, moment = norm[0], norm[1], norm[2], fill(d, norm[3, 0]), sums[0], sums[1]
    for k in range(0, len(d), lanes(d)):
        n = len(d) - k
        y = load_part(x, k, n)
        v = where(y * load_part(scale, k, n) + load_part(shift, k, n) <= low, zero, load_part(d, k, n))
        if skips:
            v = v + load_part(skip_grad, k, n)
        store_part(dx, k, n, v)
        store_part(total, k, n, load_part(total, k, n) + v)
        store_part(moment, k, n, load_part(moment, k, n) + v * (y - load_part(mean, k, n)))


@tile
def line_of(lines, n, h):
    """Line h of image n; of no images, no line."""
    _, H, L = lines.shape
    first = (n * H + h) * L
    return lines.reshape(-1)[first : first + L]


@tile
def fold(lanes, L, sums):
    """Lane sums (rows, L or more) to float64 sums per channel (rows, C)."""
    C = sums.shape[1]
    sums[:] = 0
    for k in range(len(sums)):
        for first in range(0, L, C):
            for c in range(C):
                sums[k, c] += lanes[k, first + c]


@tile
def accumulate(x, out):
    """``out += x``."""
    for k in range(0, len(out), lanes(out)):
        n = len(out) - k
        store_part(out, k, n, load_part(out, k, n) + load_part(x, k, n))


@tile
def add_up(parts, out):
    """The sum of what all chunks left behind, in their order: the work of the thread that finishes the last one."""
    total = out.reshape(-1)
    total[:] = 0
    for first in range(0, len(total), 4096):
        for t in range(len(parts)):
            accumulate(parts[t].reshape(-1)[first : first + 4096], total[first : first + 4096])
