"""Let the groups of a grouped convolution talk: shuffle their channels.

A grouped convolution (exercise 14) costs a G-th of a dense one, but its groups never meet: after ten such layers the
first group has still seen nothing of the second. ShuffleNet (Zhang et al. 2018, section 3.1) reorders the channels in
between, which costs nothing, so that the next layer's groups hold some of each. Write the channels of one pixel as a
table with a row per group, and read it column by column:

    out[n, h, w, c*G + g] = x[n, h, w, g*(C/G) + c]         for each group g, and each place c in it, 0 to C/G - 1

C = 6, G = 2:    0 1 2        the columns, one after the other:   0 3 1 4 2 5
                 3 4 5

Nothing is computed, so there is nothing to learn, and the backward is short. A permutation sends each number to one
place; its gradient comes back from there. That is the inverse permutation. The table above shows what it is: what you
read lies in front of you as a table with a row per *column* of the first one.

    unshuffle of 0 3 1 4 2 5 with G = 2 gives 0 1 2 3 4 5

For C = G*G the shuffle is its own inverse, which hides mistakes: test with C = 6. A published implementation used the
inverse by mistake; networks learn just as well with it, but then the weights of one are wrong in the other.
"""

# Yours --------------------------------------------------------------------------------------------------------


def shuffle_forward(x, groups):
    """Shuffle the channels of x (N, H, W, C); groups divides C. Returns out (N, H, W, C), cache."""
    N, H, W, C = x.shape
    table = x.reshape(N, H, W, groups, C // groups)
    return table.swapaxes(3, 4).reshape(x.shape), groups


def unshuffle(x, groups):
    """The inverse: unshuffle(out, groups) of an out that `shuffle_forward` made is its x. All (N, H, W, C)."""
    N, H, W, C = x.shape
    return x.reshape(N, H, W, C // groups, groups).swapaxes(3, 4).reshape(x.shape)


def shuffle_backward(dout, cache):
    """Gradient of `shuffle_forward`: dout (N, H, W, C) -> dx (N, H, W, C)."""
    return unshuffle(dout, cache)
