"""Winograd's convolution for the machine: `kernels.winograd` for a tile of images, its memory cut from the arena."""

from typing import NamedTuple

from numba.extending import register_jitable

from minighost.engine.activations import IDENTITY
from minighost.engine.gemm import gemm
from minighost.engine.geometry import Geometry
from minighost.engine.kernels.plane import fill
from minighost.engine.kernels.winograd import apart, input_transform, output_transform, rows_of
from minighost.engine.kernels.winograd_sums import taps_forward_reference as transformed
from minighost.engine.launch import tile

__all__ = ["sizes_of", "transformed", "winograd"]


class Sizes(NamedTuple):
    """Numbers of working memory: of the plane and of a tile on its way once, of the others for each image."""

    plane: int
    grid: int
    seen: int
    products: int


@register_jitable
def sizes_of(H, W, C, OC, PH, PW):
    """`Sizes` of an H x W x C image with PH, PW zeros around it."""
    TH, TW = (H + 2 * PH + 1) // 4, (W + 2 * PW + 1) // 4
    return Sizes((4 * TH + 3) * (4 * TW + 2) * C, 36 * 16, 36 * apart(TH * TW * C), 36 * apart(TH * TW * OC))


@tile
def winograd(s, n, a, weights, scratch, o):
    """A 3x3 convolution without stride, of n images together; its weights (36, C, OC) have been transformed."""
    C, OC, L, OL = s.C, s.OC, s.W * s.C, s.OW * s.OC
    TH, TW = (s.OH + 3) // 4, (s.OW + 3) // 4
    g, count = Geometry(3, 3, 1, 1, s.PH, s.PW, 1, 1, s.OH, s.OW), TH * TW
    sizes = sizes_of(s.H, s.W, C, OC, s.PH, s.PW)
    plane, numbers = scratch[: sizes.plane].reshape(1, 1, 4 * TH + 3, (4 * TW + 2) * C), scratch[sizes.plane :]
    grid, numbers = numbers[: sizes.grid], numbers[sizes.grid :]
    seen, numbers = numbers[: n * sizes.seen].reshape(36, n * sizes.seen // 36), numbers[n * sizes.seen :]
    products = numbers[: n * sizes.products].reshape(36, n * sizes.products // 36)
    as_it_is, no_bias = numbers[:0].reshape(3, 0), numbers[:0]
    plane[:] = 0
    for k in range(n):
        fill(a[k * s.H * L : (k + 1) * s.H * L].reshape(s.H, L), as_it_is, IDENTITY, g, C, grid, plane)
        input_transform(plane[0, 0], TH, TW, C, grid, k * count, seen)
    for k in range(36):
        w = weights[s.w + k * C * OC : s.w + (k + 1) * C * OC].reshape(C, OC)
        gemm(rows_of(seen[k], n * count, C), False, w, False, rows_of(products[k], n * count, OC))
    for k in range(n):
        image = o[k * s.OH * OL : (k + 1) * s.OH * OL].reshape(s.OH, OL)
        output_transform(products, k * count, g, OC, grid, no_bias, image)
