"""Turn channels into pixels: depth to space.

A cheap way to enlarge an image: let a convolution compute four times as many channels, then lay each pixel's channels
out as a block of 2 x 2 pixels (Shi et al. 2016, "Real-time single image and video super-resolution"). For a block of
SH x SW, x (N, H, W, SH*SW*OC) becomes out (N, H*SH, W*SW, OC). Which channel goes where is a convention:

    out[n, i*SH + u, j*SW + v, c] = x[n, i, j, k]      k = (u*SW + v)*OC + c     DCR: TensorFlow, and ONNX by default
                                                       k = (c*SH + u)*SW + v     CRD: PyTorch's PixelShuffle

Here it is DCR: the OC channels of a new pixel lie side by side in x. One pixel of 8 channels 0 to 7, a block of 2 x 2:

    DCR    (0, 1) (2, 3)          CRD    (0, 4) (1, 5)
           (4, 5) (6, 7)                 (2, 6) (3, 7)

With OC = 1 the two are equal; that is why a network that draws grey images may run with the wrong one for years, and
the first with colours shows stripes. `from_crd` puts channels in CRD order into DCR order, so that PyTorch's networks
can be used: depth_to_space_forward(from_crd(x, block), block) gives what PixelShuffle makes of x.

    from_crd of the channels 0 to 7 with a block of 2 x 2:   0 4 1 5 2 6 3 7         (do you know this permutation?)

Three steps, here and in many operations that move numbers: reshape splits axes, transpose orders them, reshape joins
neighbours. Write down the axes of the result one by one: N, H, SH, W, SW, OC. The last reshape joins H with SH, W with
SW: a block's rows lie within those of its pixel. The backward sends each gradient back to where its number came from.
"""

# Yours --------------------------------------------------------------------------------------------------------


def depth_to_space_forward(x, block):
    """x (N, H, W, SH*SW*OC) in DCR order, block (SH, SW) -> out (N, H*SH, W*SW, OC), cache."""
    (N, H, W, C), (SH, SW) = x.shape, block
    OC = C // (SH * SW)
    split = x.reshape(N, H, W, SH, SW, OC)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(N, H * SH, W * SW, OC), block


def depth_to_space_backward(dout, cache):
    """Gradient of `depth_to_space_forward`: dout (N, H*SH, W*SW, OC) -> dx (N, H, W, SH*SW*OC)."""
    (N, OH, OW, OC), (SH, SW) = dout.shape, cache
    split = dout.reshape(N, OH // SH, SH, OW // SW, SW, OC)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(N, OH // SH, OW // SW, SH * SW * OC)


def from_crd(x, block):
    """x (N, H, W, OC*SH*SW) in CRD order, block (SH, SW) -> the same channels in DCR order, (N, H, W, SH*SW*OC)."""
    (N, H, W, C), (SH, SW) = x.shape, block
    return x.reshape(N, H, W, C // (SH * SW), SH, SW).transpose(0, 1, 2, 4, 5, 3).reshape(x.shape)
