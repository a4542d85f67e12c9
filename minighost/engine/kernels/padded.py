"""A line of a padded plane, for `ops.pad` and for inference."""

from minighost.engine.launch import tile

__all__ = ["pad_line"]


@tile
def pad_line(x, h, left, edge, out):
    """Line h of the image `x` (H, W, C), which may lie outside, with its padding: `out` (OW, C).

    Outside are zeros or, with `edge`, the nearest pixel.
    """
    H, W, C = x.shape
    inside, row, zero = 0 <= h < H, min(max(h, 0), H - 1), x.dtype.type(0)
    for j in range(len(out)):
        w = j - left
        if edge or (inside and 0 <= w < W):
            w = min(max(w, 0), W - 1)
            for c in range(C):
                out[j, c] = x[row, w, c]
        else:
            for c in range(C):
                out[j, c] = zero
