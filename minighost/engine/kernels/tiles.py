"""What the fused kernels do with one tile of numbers while it is in cache.

A tile is a stretch of memory: some rows of C channels, one after another. A loop over C alone would vectorise badly
where channels are few, so the per-channel vectors come repeated to L = k*C numbers ("lanes"), and the loops run over L.
Sums are kept per lane too, in the precision of the data, for a few hundred numbers each; then they are folded into
float64 sums per channel.
"""

from minighost.engine.activations import gradient, value
from minighost.engine.launch import tile

__all__ = ["accumulate", "activated", "add_moment", "add_up", "finish", "fold", "line_of", "multiply_add", "normalise"]


@tile
def normalise(x, norm, act, out):
    """``out = act(scale*x + shift)``, lane by lane; without columns it is only copied."""
    L = norm.shape[1]
    if L == 0:
        for k in range(len(x)):
            out[k] = x[k]
        return
    scale, shift = norm[0], norm[1]
    for q in range(0, len(x), L):
        n = min(L, len(x) - q)
        xq, oq = x[q : q + n], out[q : q + n]
        for k in range(n):
            oq[k] = value(act, xq[k] * scale[k] + shift[k])


@tile
def activated(p, r0, r1, scratch):
    """Rows r0 to r1 of a `Deferred`, normalised and activated, but not gated; without a norm, where they lie."""
    C = p.raw.shape[3]
    x = p.raw.reshape(-1)[r0 * C : r1 * C]
    if p.norm.shape[1] == 0:
        return x.reshape(r1 - r0, C)
    y = scratch[: (r1 - r0) * C]
    normalise(x, p.norm, p.act, y)
    return y.reshape(r1 - r0, C)


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
def finish(d, x, norm, act, skip_grad, lanes):
    """Take a gradient through an activation, add the one that skips the layer, and take the sums of both; in place.

    Without columns in `norm` there is no activation, and nothing is summed.
    """
    L = norm.shape[1]
    numbers, step = (len(x), L) if L else (0, 1)
    for q in range(0, numbers, step):
        n = min(L, numbers - q)
        xq, dq = x[q : q + n], d[q : q + n]
        for k in range(n):
            dq[k] = gradient(act, xq[k] * norm[0, k] + norm[1, k], dq[k])
    if len(skip_grad):
        accumulate(skip_grad, d)
    for q in range(0, numbers, step):
        n = min(L, numbers - q)
        xq, dq, total, moment, mean = x[q : q + n], d[q : q + n], lanes[0], lanes[1], norm[2]
        for k in range(n):
            s, m = total[k] + dq[k], moment[k] + dq[k] * (xq[k] - mean[k])
            total[k], moment[k] = s, m


@tile
def add_moment(d, x, mean, moment):
    """Add up ``d * (x - mean)`` lane by lane."""
    L = len(mean)
    for q in range(0, len(x), L):
        n = min(L, len(x) - q)
        dq, xq = d[q : q + n], x[q : q + n]
        for k in range(n):
            moment[k] += dq[k] * (xq[k] - mean[k])


@tile
def line_of(lines, n, h):
    """Line h of image n; of no images, no line."""
    _, H, L = lines.shape
    first = (n * H + h) * L
    return lines.reshape(-1)[first : first + L]


@tile
def fold(lanes, L, sums):
    """Lane sums (rows, L or more) to float64 sums per channel (rows, C); beyond the last whole C there is nothing."""
    C = sums.shape[1]
    sums[:] = 0
    for k in range(len(sums)):
        for first in range(0, L // C * C, C):
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
