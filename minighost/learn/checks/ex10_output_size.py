"""What exercise 10 must do, three hints, and wrong answers that it must refuse."""

from minighost.learn.compare import function, same

HINTS = (
    "Draw a row of pixels with its padding, and move a kernel along it. How many pixels lie after its last tap at the "
    "first place?",
    "First the reach, dilation * (kernel - 1) + 1. What the padded row has beyond that is left for steps.",
    "(size + 2*padding - reach) // stride + 1; raise ValueError if the bracket is negative. same_padding is half of "
    "reach - 1.",
)

WRONG = {
    "rounded up": ("spare // stride + 1", "-(-spare // stride) + 1", r"rounded up"),
    "the first place forgotten": ("spare // stride + 1", "spare // stride", r"first place"),
    "padding at one end": ("spare = size + 2 * padding", "spare = size + padding", r"both ends"),
    "dilation times the kernel": (
        "    reach = dilation * (kernel - 1) + 1\n    spare",
        "    reach = dilation * kernel\n    spare",
        r"no gap after it, so the reach of 3 taps with dilation 2 is 5",
    ),
    "dilation left out": (
        "    reach = dilation * (kernel - 1) + 1\n    spare",
        "    reach = kernel\n    spare",
        r"dilation",
    ),
    "a division with fractions": ("spare // stride + 1", "spare / stride + 1", r"// instead of /"),
    "no complaint": ("if spare < 0", "if False", r"must raise ValueError"),
    "refuses what just fits": ("spare < 0", "spare <= 0", r"fits exactly"),
    "same padding without dilation": ("return reach // 2", "return kernel // 2", r"reaches over 5"),
    "an even reach goes through": ("if reach % 2 == 0", "if False", r"even .* must raise ValueError"),
    "the whole reach at each end": ("return reach // 2", "return reach - 1", r"half"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    output_size, same_padding = function(mine, "output_size"), function(mine, "same_padding")
    for arguments in (
        (8, 3, 1),
        (8, 3, 2),
        (7, 3, 2),
        (5, 5, 1),
        (5, 3, 1, 1),
        (8, 3, 2, 1),
        (8, 3, 1, 0, 2),
        (1, 1, 1),
        (9, 3, 2, 1, 2),
        (32, 3, 2, 1),
        (224, 3, 2, 1),
        (28, 5, 1, 2),
    ):
        _size(output_size, *arguments)
    same(output_size(8, 3), 6, "output_size(8, 3), the others left out (stride 1, padding 0, dilation 1)")
    for size in range(1, 8):  # every small case
        for kernel in range(1, 5):
            for stride in range(1, 4):
                for padding in range(3):
                    for dilation in range(1, 4):
                        _size(output_size, size, kernel, stride, padding, dilation)
    for kernel, dilation in ((1, 1), (3, 1), (5, 1), (3, 2), (2, 2), (4, 2), (7, 3), (2, 1), (4, 1), (2, 3), (4, 3)):
        _padding(same_padding, kernel, dilation)
    same(same_padding(5), 2, "same_padding(5), dilation left out (1)")


def _places(size, kernel, stride, padding, dilation):
    """The answer by walking: every first pixel from which the last tap is still on the row."""
    taps, row = [dilation * k for k in range(kernel)], size + 2 * padding
    reach = taps[-1] + 1
    return reach, row, [first for first in range(0, row, stride) if first + reach <= row]


def _size(output_size, size, kernel, stride, padding=0, dilation=1):
    reach, row, places = _places(size, kernel, stride, padding, dilation)
    what = f"output_size(size={size}, kernel={kernel}, stride={stride}, padding={padding}, dilation={dilation})"
    if not places:
        _refuses(
            output_size,
            (size, kernel, stride, padding, dilation),
            f"{what}: the kernel reaches over {reach} pixels and the padded row has {row}: it does not fit, and this",
        )
        return
    shown = ", ".join(map(str, places[:8])) + (", ..." if len(places) > 8 else "")
    scene = f"the reach of the kernel is {reach}, the padded row has {row} pixels; it stands at {shown}"
    try:
        got = output_size(size, kernel, stride, padding, dilation)
    except ValueError as error:
        exactly = ": it fits exactly" if reach == row else ""
        raise AssertionError(f"{what}: raised ValueError ({error}), must be {len(places)}{exactly}; {scene}") from None
    wrong = {
        len(places) - 1: "the first place counts too: + 1",
        -(-(row - reach) // stride) + 1: "rounded up: the last, short step leads past the end",
        (size + padding - reach) // stride + 1: "the padding is put at both ends",
        (row - kernel) // stride + 1: "the dilation is left out: it makes the kernel reach further",
        (row - kernel * dilation) // stride + 1: f"the last tap has no gap after it, so the reach of {kernel} taps "
        f"with dilation {dilation} is {reach}",
        row - reach + 1: "the stride is left out",
    }
    same(got, len(places), f"{what} ({scene})", hints=[(n, words) for n, words in wrong.items() if n != len(places)])


def _padding(same_padding, kernel, dilation):
    reach = dilation * (kernel - 1) + 1
    what = f"same_padding(kernel={kernel}, dilation={dilation})"
    if reach % 2 == 0:
        _refuses(
            same_padding,
            (kernel, dilation),
            f"{what}: it reaches over {reach} pixels, an even number, and no "
            "padding that is equal at both ends makes up for that: this",
        )
        return
    scene = f"it reaches over {reach} pixels, and takes {reach - 1} away"
    try:
        got = same_padding(kernel, dilation)
    except ValueError as error:
        raise AssertionError(f"{what}: raised ValueError ({error}), must be {reach // 2}; {scene}") from None
    wrong = [(reach - 1, "each end makes up for only half of it"), (kernel // 2, "the dilation is left out")]
    same(got, reach // 2, f"{what} ({scene})", hints=[(n, words) for n, words in wrong if n != reach // 2])


def _refuses(call, arguments, what):
    try:
        got = call(*arguments)
    except ValueError as error:
        if not str(error):
            raise AssertionError(f"{what} raises ValueError, but without a message: say what is wrong") from None
        return
    raise AssertionError(f"{what} must raise ValueError; it returned {got!r}")
