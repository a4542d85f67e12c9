"""Winograd's convolution for the machine: `kernels.winograd` for a tile of images, its memory cut from the arena."""

from typing import NamedTuple

from numba.extending import register_jitable

from minighost.engine.activations import IDENTITY
from minighost.engine.gemm import gemm
from minighost.engine.geometry import Geometry
from minighost.engine.kernels.plane import fill
from minighost.engine.kernels.winograd import input_transform, output_transform
from minighost.engine.kernels.winograd_sums import taps_forward_reference as transformed
from minighost.engine.launch import tile

__all__ = ["sizes_of", "transformed", "winograd"]


class Sizes(NamedTuple):
    """Numbers of working memory: of the plane and its transformed lines once, of the others for each image."""

    plane: int
    line: int
    rows: int
    half: int
    outputs: int
    seen: int
    products: int


@register_jitable
def sizes_of(H, W, C, OC, PH, PW):
    """`Sizes` of an H x W x C image with PH, PW zeros around it."""
    TH, TW = (H + 2 * PH + 1) // 4, (W + 2 * PW + 1) // 4
    columns = (TW + 1) * C
    return Sizes(
        4 * (4 * TH + 2) * columns, W * C, 24 * columns, 24 * TW * OC, 4 * TW * OC, 36 * TH * TW * C, 36 * TH * TW * OC
    )


@tile
def winograd(s, n, a, weights, scratch, o):
    """A 3x3 convolution without stride, of n images together; its weights (36, C, OC) have been transformed."""
    C, OC, L, OL = s.C, s.OC, s.W * s.C, s.OW * s.OC
    TH, TW = (s.OH + 3) // 4, (s.OW + 3) // 4
    g, gout = Geometry(3, 3, 1, 4, s.PH, s.PW, 1, 1, s.OH, s.OW), Geometry(3, 3, 1, 4, s.PH, 0, 1, 1, s.OH, s.OW)
    sizes = sizes_of(s.H, s.W, C, OC, s.PH, s.PW)
    numbers, DL = scratch, TW * OC
    plane = numbers[: sizes.plane].reshape(1, 4, 4 * TH + 2, (TW + 1) * C)
    numbers = numbers[sizes.plane :]
    line, numbers = numbers[: sizes.line], numbers[sizes.line :]
    rows, numbers = numbers[: sizes.rows].reshape(6, 4, (TW + 1) * C), numbers[sizes.rows :]
    half, numbers = numbers[: sizes.half].reshape(6, 4, DL), numbers[sizes.half :]
    outputs, numbers = numbers[: sizes.outputs].reshape(4, DL), numbers[sizes.outputs :]
    seen, numbers = numbers[: n * sizes.seen].reshape(36, n * TH, TW * C), numbers[n * sizes.seen :]
    products = numbers[: n * sizes.products].reshape(36, n * TH, DL)
    as_it_is, no_bias = numbers[:0].reshape(3, 0), numbers[:0]
    plane[:] = 0
    for k in range(n):
        fill(a[k * s.H * L : (k + 1) * s.H * L].reshape(s.H, L), as_it_is, IDENTITY, g, C, line, plane)
        input_transform(plane[0], rows, C, k * TH, seen)
    for k in range(36):
        w = weights[s.w + k * C * OC : s.w + (k + 1) * C * OC].reshape(C, OC)
        gemm(seen[k].reshape(n * TH * TW, C), False, w, False, False, products[k].reshape(n * TH * TW, OC))
    for k in range(n):
        image = o[k * s.OH * OL : (k + 1) * s.OH * OL].reshape(s.OH, OL)
        output_transform(products, k * TH, half, outputs, gout, OC, no_bias, image)
