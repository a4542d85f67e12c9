"""The pages by name. An entry of `PAGES` is all that the command, the builder and the page's heading know of one.

Nothing is imported from here that takes time, so that ``minighost step --help`` answers at once.
"""

from typing import NamedTuple

from minighost.registry import Registry

__all__ = ["NAMES", "PAGES", "Page"]


class Page(NamedTuple):
    """One operation that can be stepped through."""

    title: str
    formula: str
    home: str  # the file of this folder whose `build(op, x, w, chosen, rng)` makes the scripts
    options: dict  # with their defaults; any other does not exist for the page. out_channels None: as many as channels
    takes_w: bool = True
    images: int = 1  # how many are drawn
    note: str = ""  # where the highlighted line of the reference does in one go what the page does one by one


_PLANE = {"height": 4, "width": 4, "channels": 4}
_WALK = {"kernel": 3, "stride": 1, "padding": 1}
_SUM = "out[i, j, o] = sum over u, v, c of x[i*S - P + u*D, j*S - P + v*D, c] * w[u, v, c, o]"

PAGES = Registry(
    "step",
    "operation",
    conv=Page("Convolution", _SUM, "conv", {**_PLANE, "out_channels": None, **_WALK, "dilation": 1, "groups": 1}),
    depthwise=Page(
        "Depthwise convolution",
        "out[i, j, c] = sum over u, v of x[i*S - P + u*D, j*S - P + v*D, c] * w[u, v, 0, c]",
        "conv",
        {**_PLANE, "out_channels": None, **_WALK, "dilation": 1},
        note="the reference takes one tap at all positions together, this page one position at a time",
    ),
    grouped=Page(
        "Grouped convolution",
        "a convolution whose output channel o sees only its own group's C/G channels",
        "conv",
        {**_PLANE, "out_channels": None, **_WALK, "dilation": 1, "groups": 2},
    ),
    pointwise=Page(
        "Pointwise convolution",
        "out[i, j, :] = x[i, j, :] @ w: a matrix product at every pixel",
        "conv",
        {"height": 3, "width": 3, "channels": 3, "out_channels": 2},
        note="the reference takes all pixels in one product, this page one at a time",
    ),
    dilated=Page(
        "Dilated convolution",
        _SUM,
        "conv",
        {"height": 6, "width": 6, "channels": 1, "out_channels": 1, **_WALK, "dilation": 2},
    ),
    transposed=Page(
        "Transposed convolution",
        "out[i*S - P + u*D, j*S - P + v*D, o] += x[i, j, c] * w[u, v, o, c]",
        "transposed",
        {
            "height": 3,
            "width": 3,
            "channels": 2,
            "out_channels": 2,
            "kernel": 3,
            "stride": 2,
            "padding": 1,
            "dilation": 1,
        },
        note="the reference takes one tap at all positions together, this page one position at a time",
    ),
    depth_to_space=Page(
        "Depth to space",
        "out[i*S + u, j*S + v, c] = x[i, j, (u*S + v)*OC + c]",
        "depth_to_space",
        {"height": 2, "width": 2, "channels": 8, "block": 2},
        takes_w=False,
        note="the reference moves all numbers together, this page one at a time",
    ),
    im2col=Page(
        "Convolution by im2col",
        "cols = im2col(x);  out = cols @ w;  dcols = dout @ w.T;  dx = col2im(dcols)",
        "im2col",
        {"height": 4, "width": 4, "channels": 1, "out_channels": 2, **_WALK, "dilation": 1},
        note="the reference fills cols column by column, this page row by row: a row is a window",
    ),
    batchnorm=Page(
        "Batch normalisation",
        "out = gamma * (x - mean) / sqrt(var + eps) + beta",
        "batch_norm",
        {"height": 2, "width": 3, "channels": 2},
        takes_w=False,
        images=2,
    ),
    separable=Page(
        "Depthwise separable convolution",
        "y = depthwise(x, w);  out[i, j, :] = y[i, j, :] @ p",
        "separable",
        {"height": 4, "width": 4, "channels": 2, "out_channels": 3, **_WALK},
        takes_w=False,
    ),
    shuffle=Page(
        "Channel shuffle",
        "out[i, j, c*G + g] = x[i, j, g*(C/G) + c]",
        "channel_shuffle",
        {"height": 2, "width": 2, "channels": 6, "groups": 2},
        takes_w=False,
        note="the reference moves all channels together, this page one at a time",
    ),
    crelu=Page(
        "CReLU", "out = [max(x, 0), max(-x, 0)]", "crelu", {"height": 3, "width": 4, "channels": 2}, takes_w=False
    ),
    se=Page(
        "Squeeze-and-excitation",
        "out = x * hard_sigmoid(relu(mean(x) @ w1 + b1) @ w2 + b2)",
        "squeeze_excite",
        {"height": 3, "width": 3, "channels": 4, "hidden": 2},
        takes_w=False,
    ),
    ghost=Page(
        "Ghost module",
        "y = conv(x, w);  out = [y, depthwise(y, cheap)]",
        "ghost",
        {"height": 4, "width": 4, "channels": 2, "out_channels": 4, "kernel": 1},
    ),
)
NAMES = tuple(PAGES)
