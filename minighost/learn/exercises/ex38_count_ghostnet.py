"""Count the 5,182,508 parameters of GhostNet by hand.

You have written all of its parts; if you can count them, you have understood how they fit together. The number is that
of the authors' network with width 1.0 and 1000 classes (Han et al. 2020; the rows of TABLE are those of its table 1).

Every convolution has no bias and is followed by a batch norm, which has 2 numbers per channel (gamma, beta). Linear
layers have a bias. In the order of the network:

  stem             3x3 convolution from 3 channels to round(16*width), batch norm
  16 bottlenecks   the rows of TABLE: kernel k, expansion, output, SE ratio, stride
  tail             1x1 convolution to as many channels as the last expansion, batch norm
  head             linear to 1280 features (whatever the width), linear to the classes

A ghost module from c to n channels: m = ceil(n/2); 1x1 convolution c -> m, batch norm; depthwise 3x3 with one kernel
for each of the m maps, batch norm. If n is odd the last ghost is cut off, but its weights exist.

A bottleneck from c channels: ghost module c -> expansion; if the stride is 2, depthwise k x k over the expansion,
batch norm; if the SE ratio is not 0, squeeze-and-excitation: two linear layers, expansion -> hidden -> expansion;
ghost module expansion -> output. The shortcut has no parameters if the stride is 1 and c = output. Otherwise it is a
depthwise k x k over the c channels, batch norm, and a 1x1 convolution c -> output, batch norm. The output is the next
bottleneck's c.

Rounding. With another width every expansion and output of TABLE becomes round(number * width), and hidden is
round(rounded expansion * SE ratio). Here round takes the nearest multiple of 4, the upper one of two equally near; but
if that is less than 0.9 of the number, the next multiple: round(18) = 20, round(17) = 16, round(5.5) = 8, round(1) = 4.
"""

TABLE = [  # k, expansion, output, SE ratio, stride
    (3, 16, 16, 0, 1),
    (3, 48, 24, 0, 2),
    (3, 72, 24, 0, 1),
    (5, 72, 40, 0.25, 2),
    (5, 120, 40, 0.25, 1),
    (3, 240, 80, 0, 2),
    (3, 200, 80, 0, 1),
    (3, 184, 80, 0, 1),
    (3, 184, 80, 0, 1),
    (3, 480, 112, 0.25, 1),
    (3, 672, 112, 0.25, 1),
    (5, 672, 160, 0.25, 2),
    (5, 960, 160, 0, 1),
    (5, 960, 160, 0.25, 1),
    (5, 960, 160, 0, 1),
    (5, 960, 160, 0.25, 1),
]

# Yours --------------------------------------------------------------------------------------------------------


def round_channels(number):
    """The multiple of 4 that stands for a number of channels: int."""
    rounded = int(number + 2) // 4 * 4
    return rounded + 4 if rounded < 0.9 * number else rounded


def ghost_parameters(c, n):
    """Parameters of a ghost module from c to n channels: int."""
    m = (n + 1) // 2
    return c * m + 2 * m + 9 * m + 2 * m


def bottleneck_parameters(c, expansion, output, k, stride, hidden):
    """Parameters of a bottleneck; hidden is the width of its squeeze-and-excitation, 0 for none: int."""
    total = ghost_parameters(c, expansion) + ghost_parameters(expansion, output)
    if stride == 2:
        total += k * k * expansion + 2 * expansion
    if hidden:
        total += expansion * hidden + hidden + hidden * expansion + expansion
    if stride == 2 or c != output:
        total += k * k * c + 2 * c + c * output + 2 * output
    return total


def ghostnet_parameters(table, width, classes):
    """Parameters of a GhostNet with the bottlenecks of the table (rows as in TABLE): int."""
    c = round_channels(16 * width)
    total = 3 * 3 * 3 * c + 2 * c
    for k, expansion, output, ratio, stride in table:
        expansion, output = round_channels(expansion * width), round_channels(output * width)
        hidden = round_channels(expansion * ratio) if ratio else 0
        total += bottleneck_parameters(c, expansion, output, k, stride, hidden)
        c = output
    total += c * expansion + 2 * expansion
    return total + expansion * 1280 + 1280 + 1280 * classes + classes
