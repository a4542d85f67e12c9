"""Add a shortcut around two ghost modules.

A block of GhostNet (Han et al. 2020, section 3.2) is two ghost modules in a row - the first makes more channels, the
second brings them back to as many as came in - and a shortcut around both (He et al. 2016, "Deep residual learning"):

    y = expand(x, w1),   z = reduce(y, w2),   out = z + x

In the forward, the sum is trivial. In the backward the shortcut shows its worth: a sum passes its gradient to both of
its terms unchanged, so dout splits, and the two parts meet again at x, where they add:

    dz = dout  ->  dy, dw2 = backward of reduce  ->  dx, dw1 = backward of expand         the long way
    dx += dout                                                                           the shortcut

On the long way a gradient may shrink at every layer; through the shortcut it arrives unchanged. That is why blocks of
this kind can be stacked by the dozen.

Given are `expand` and `reduce`, each a pair of functions (forward, backward), as the exercises made them:

    forward(x, w) -> out, cache            backward(dout, cache) -> dx, dw

w stands for everything the module learns - an array or a tuple of arrays; you only pass it on, as you do dw. Unpack a
pair with `forward, backward = expand`. The check brings its own pairs, ghost modules among them.

A small example: expand multiplies by w1 = 2, reduce by w2 = 5, x = 3. Then y = 6, z = 30, out = 33. For dout = 1:
dz = 1, dw2 = 6, dy = 5, dw1 = 15, the long way gives 10, and dx = 10 + 1 = 11. Indeed out = (2*5 + 1)*x.
"""

# Yours --------------------------------------------------------------------------------------------------------


def bottleneck_forward(x, w1, w2, expand, reduce):
    """x (N, H, W, C), w1 of `expand`, w2 of `reduce` -> out (N, H, W, C), cache."""
    y, cache1 = expand[0](x, w1)
    z, cache2 = reduce[0](y, w2)
    return z + x, (cache1, cache2, expand, reduce)


def bottleneck_backward(dout, cache):
    """Gradients of `bottleneck_forward`: dx (N, H, W, C), dw1, dw2."""
    cache1, cache2, expand, reduce = cache
    dy, dw2 = reduce[1](dout, cache2)
    dx, dw1 = expand[1](dy, cache1)
    return dx + dout, dw1, dw2
