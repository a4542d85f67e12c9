"""What the fused kernels do with one tile of numbers while it is in cache.

A tile is a stretch of memory: some rows of C channels, one after another. A loop over C alone would vectorise badly
where channels are few, so the per-channel vectors come repeated to L = k*C numbers ("lanes"), and the loops run over L.
Sums are kept per lane too, in the precision of the data, for a few hundred numbers each; then they are folded into
float64 sums per channel.
"""

from minighost.engine.launch import tile

__all__ = ["accumulate", "add_up", "finish", "fold", "line_of", "mask_and_add", "multiply_add", "normalise"]


@tile
def normalise(x, scale, shift, floor, out):
    """``out = max(scale*x + shift, floor)``, lane by lane; a floor of -inf means no ReLU, and NaN passes through."""
    L = len(scale)
    for q in range(0, len(x), L):
        n = min(L, len(x) - q)
        xq, oq = x[q : q + n], out[q : q + n]
        for k in range(n):
            y = xq[k] * scale[k] + shift[k]
            oq[k] = floor if y <= floor else y


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
        xq, dq, oq = x[q : q + n], dy[q : q + n], out[q : q + n]
        for k in range(n):
            oq[k] = scale[k] * dq[k] + slope[k] * xq[k] + constant[k]


@tile
def mask_and_add(dy, y, x, mean, floor, total, moment):
    """Zero the gradient where the activation y sits on its floor; add up ``dy`` and ``dy * (x - mean)``."""
    L, zero = len(mean), dy.dtype.type(0)
    for q in range(0, len(x), L):
        n = min(L, len(x) - q)
        xq, yq, dq = x[q : q + n], y[q : q + n], dy[q : q + n]
        for k in range(n):
            d = zero if yq[k] <= floor else dq[k]
            dq[k] = d
            total[k] += d
            moment[k] += d * (xq[k] - mean[k])


@tile
def finish(d, x, norm, skip_grad, dx, lanes):
    """Cut the gradient of a line where the ReLU cut, add the one that skips the layer, and take the sums of both."""
    zero = d.dtype.type(0)
    if len(skip_grad):
        for k in range(len(dx)):
            dx[k] = skip_grad[k]
    else:
        for k in range(len(dx)):
            dx[k] = zero
    if norm.shape[1] == 0:
        for k in range(len(d)):
            dx[k] += d[k]
        return
    scale, shift, mean, floor, total, moment = norm[0], norm[1], norm[2], norm[3, 0], lanes[0], lanes[1]
    for k in range(len(d)):
        y = x[k]
        v = dx[k] + (zero if y * scale[k] + shift[k] <= floor else d[k])
        s, m = total[k] + v, moment[k] + v * (y - mean[k])
        dx[k], total[k], moment[k] = v, s, m


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
    for k in range(len(out)):
        out[k] += x[k]


@tile
def add_up(parts, out):
    """The sum of what all chunks left behind, in their order: the work of the thread that finishes the last one."""
    total = out.reshape(-1)
    total[:] = 0
    for first in range(0, len(total), 4096):
        for t in range(len(parts)):
            accumulate(parts[t].reshape(-1)[first : first + 4096], total[first : first + 4096])
