"""What exercise 38 must do, three hints, and wrong answers that it must refuse."""

from minighost import nn
from minighost.learn.compare import function, same
from minighost.models.ghostnet import GhostNet
from minighost.models.rounding import make_divisible

HINTS = (
    "From small to large: round_channels, then a ghost module, then a bottleneck made of two ghost modules and three "
    "ifs, then the network. Each function uses the ones above it.",
    "A k x k convolution from c to n channels has k*k*c*n weights, a depthwise one k*k*c; a batch norm over n channels "
    "adds 2*n, a linear layer from c to n has c*n + n. int(number + 2) // 4 * 4 is the nearest multiple of 4.",
    "Walk down the table with c, the number of channels that arrive; it is round(16*width) at first and the rounded "
    "output after each row. After the table `expansion` is still the last one: the tail is c*expansion + 2*expansion.",
)

WRONG = {
    "rounds down": ("int(number + 2) // 4 * 4", "int(number) // 4 * 4", r"upper one|rounded down"),
    "too far down": ("rounded + 4 if rounded < 0.9 * number else rounded", "rounded", r"less than 0\.9"),
    "Python's rounding": ("int(number + 2) // 4 * 4", "4 * round(number / 4)", r"upper one"),
    "odd outputs": ("m = (n + 1) // 2", "m = n // 2", r"ceil"),
    "one batch norm for both halves": ("2 * m + 9 * m + 2 * m", "2 * m + 9 * m", r"batch norm"),
    "ghosts by a full convolution": ("2 * m + 9 * m +", "2 * m + 9 * m * m +", r"depthwise"),
    "depthwise between in every block": ("    if stride == 2:\n", "    if True:\n", r"stride is 2"),
    "squeeze-and-excitation without biases": (
        "expansion * hidden + hidden + hidden * expansion + expansion",
        "2 * expansion * hidden",
        r"biases",
    ),
    "no shortcut where only channels change": ("if stride == 2 or c != output:", "if stride == 2:", r"c = output"),
    "shortcut with a 3x3 kernel": ("total += k * k * c + 2 * c", "total += 9 * c + 2 * c", r"k x k"),
    "shortcut without batch norm": ("+ 2 * c + c * output + 2 * output", "+ c * output", r"batch norm"),
    "stem without batch norm": ("3 * 3 * 3 * c + 2 * c", "3 * 3 * 3 * c", r"stem's batch norm"),
    "channels that stay": ("        c = output\n", "", r"next bottleneck"),
    "hidden width of the table's expansion": (
        "round_channels(expansion * ratio) if ratio",
        "round_channels(expansion / width * ratio) if ratio",
        r"rounded expansion",
    ),
    "features that scale": (
        "expansion * 1280 + 1280 + 1280 * classes",
        "expansion * int(1280 * width) + int(1280 * width) + int(1280 * width) * classes",
        r"1280",
    ),
    "no bias in the head": ("1280 + 1280 * classes + classes", "1280 * classes", r"biases of the head"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    round_channels, ghost, bottleneck, ghostnet = (
        function(mine, name)
        for name in ("round_channels", "ghost_parameters", "bottleneck_parameters", "ghostnet_parameters")
    )
    _rounding(round_channels)
    for c, n in ((1, 2), (16, 24), (8, 7), (5, 1)):
        want, m = _size(nn.GhostModule(c, n, 1)), -(-n // 2)
        known = [
            (want - 2 * m, f"a batch norm is missing: 2*m = {2 * m} for each half"),
            (want - 4 * m, f"both batch norms are missing, each of 2*m = {2 * m} numbers"),
            (want - 9 * m, "the depthwise kernels are missing: 9*m"),
            (want - 9 * m + 9 * m * m, "the ghosts' convolution is depthwise: 9*m, not 9*m*m"),
            (want + m, "convolutions have no bias here"),
            (want + 2 * m, "convolutions have no bias here"),
            (_ghost(c, n // 2), "for an odd n, m = ceil(n/2); the ghost that is cut off has weights"),
            (_ghost(c, n), "m = ceil(n/2): half of the channels come from the 1x1 convolution"),
        ]
        _same(ghost(c, n), want, f"ghost_parameters(c={c}, n={n})", known)
    _bottlenecks(bottleneck)
    _networks(ghostnet, mine.TABLE)


def _same(got, want, what, known):
    known = [(other, words) for other, words in known if other != want]
    if isinstance(got, float) and got == int(got):
        raise AssertionError(f"{what}: gives {got}, a float; parameters are counted in integers: // instead of /")
    same(got, want, what, tolerance=0, hints=known)


def _size(module):
    return int(sum(p.size for p in module.parameters()))


def _ghost(c, m):
    return c * m + 13 * m


def _rounding(round_channels):
    for number in (16, 17, 18, 19, 50, 17.9, 5.5, 1, 3.9, 30.0, 9.6, 20.8, 1248.0):
        nearest = int(number + 2) // 4 * 4
        known = [
            (4 * round(number / 4), "of two equally near multiples, the upper one; Python's round takes the even one"),
            (int(number) // 4 * 4, "rounded down; it must be the nearest multiple of 4"),
            (-(-number // 4) * 4, "rounded up; it must be the nearest multiple of 4"),
        ]
        if nearest < 0.9 * number:
            known.insert(0, (nearest, f"less than 0.9 * {number} = {0.9 * number:.4g}: take the next multiple"))
        _same(round_channels(number), make_divisible(number, 4), f"round_channels({number})", known)


def _bottlenecks(bottleneck):
    for c, expansion, output, k, stride, hidden in (
        (16, 16, 16, 3, 1, 0),
        (16, 48, 16, 5, 1, 12),
        (16, 48, 24, 3, 2, 0),
        (24, 72, 24, 5, 2, 0),
        (80, 480, 112, 5, 1, 0),
        (24, 72, 40, 5, 2, 20),
    ):
        want = _size(nn.GhostBottleneck(c, expansion, output, k, stride, hidden))
        between, shortcut = k * k * expansion + 2 * expansion, k * k * c + 2 * c + c * output + 2 * output
        known = [(want - hidden - expansion, "the biases of squeeze-and-excitation are missing: hidden + expansion")]
        if stride == 1:
            known.append((want + between, "the depthwise convolution in the middle is there only if the stride is 2"))
        else:
            known.append((want - between, "the depthwise convolution in the middle is missing; the stride is 2"))
            known.append((want - 2 * expansion, "the batch norm of the depthwise convolution is missing"))
        if stride == 2 or c != output:
            known += [
                (want - shortcut, "the shortcut is missing; it has none only where the stride is 1 and c = output"),
                (want - 2 * c - 2 * output, "the batch norms of the shortcut are missing: 2*c + 2*output"),
                (want - 2 * c, "the first batch norm of the shortcut is missing: 2*c"),
                (want - 2 * output, "the second batch norm of the shortcut is missing: 2*output"),
                (want - k * k * c + 9 * c, f"the shortcut's depthwise kernels are k x k, here {k}x{k}, not 3x3"),
                (want - k * k * c - 2 * c, "the shortcut's depthwise convolution with its batch norm is missing"),
            ]
        else:
            known.append((want + shortcut, "the shortcut has no parameters where the stride is 1 and c = output"))
        sizes = f"c={c}, expansion={expansion}, output={output}, k={k}, stride={stride}, hidden={hidden}"
        what = f"bottleneck_parameters({sizes})"
        _same(bottleneck(c, expansion, output, k, stride, hidden), want, what, known)


def _networks(ghostnet, table):
    """First parts of the table, so that the first wrong row is named; then the whole, in three widths."""
    for rows, width, classes in (
        (1, 1.0, 10),
        (2, 1.0, 10),
        (4, 1.0, 10),
        (16, 1.0, 1000),
        (16, 0.5, 1000),
        (16, 1.3, 10),
    ):
        want = _network(table[:rows], width, classes)
        some = "TABLE" if rows == 16 else f"first {rows} row{'s' * (rows > 1)} of TABLE"
        what = f"ghostnet_parameters({some}, width={width}, classes={classes})"
        _same(ghostnet(table[:rows], width, classes), want, what, _missing(table[:rows], width, classes, want))


def _network(table, width, classes):
    stages = [(stride, [(k, expansion, output, ratio)]) for k, expansion, output, ratio, stride in table]
    return _size(GhostNet(width=width, num_classes=classes, stages=stages))


def _missing(table, width, classes, want):
    def scaled(number):
        return make_divisible(number * width, 4)

    c, last, output = scaled(16), scaled(table[-1][1]), scaled(table[-1][2])
    features = int(1280 * width)
    return [
        (want - 2 * c, f"the stem's batch norm is missing: 2*{c}"),
        (want - 29 * c, "the stem is missing"),
        (want - 27 * c + 9 * c, "the stem reads 3 channels: 3*3*3*c"),
        (want - 2 * last, f"the tail's batch norm is missing: 2*{last}"),
        (want - output * last - 2 * last, "the tail is missing: 1x1 convolution and batch norm"),
        (want - 1280 - classes, "the biases of the head are missing: 1280 + classes"),
        (want - 1280, "the bias of the 1280 features is missing"),
        (want - classes, "the bias of the classes is missing"),
        (want + 2 * 1280, "the 1280 features have no batch norm"),
        (want + (features - 1280) * (last + 1 + classes), "the head has 1280 features whatever the width"),
        (_unrounded_hidden(table, width, want), "hidden is a quarter of the rounded expansion, not of the table's"),
        (_staying(table, width, want), "c is never updated; the output is the next bottleneck's c"),
    ]


def _unrounded_hidden(table, width, want):
    for _, expansion, _, ratio, _ in table:
        wide = make_divisible(expansion * width, 4)
        if ratio:
            want += (2 * wide + 1) * (make_divisible(expansion * ratio, 4) - make_divisible(wide * ratio, 4))
    return want


def _staying(table, width, want):
    """The count if c is never set to the output."""
    first = c = make_divisible(16 * width, 4)
    for k, expansion, output, _, stride in table:
        wide, out = make_divisible(expansion * width, 4), make_divisible(output * width, 4)
        want += (first - c) * ((wide + 1) // 2) + _shortcut(first, out, k, stride) - _shortcut(c, out, k, stride)
        c = out
    return want + (first - c) * make_divisible(table[-1][1] * width, 4)


def _shortcut(c, output, k, stride):
    return k * k * c + 2 * c + c * output + 2 * output if stride == 2 or c != output else 0
