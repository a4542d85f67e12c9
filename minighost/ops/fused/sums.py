"""What the chunks of a kernel leave behind, added up in the order of the chunks, whoever computed them."""

from minighost.ops.buffers import empty
from minighost.ops.engine import kernel, spans

__all__ = ["added"]

_LITTLE = 1 << 15  # numbers that NumPy adds up before the threads are awake


def added(parts):
    """The sum over the first axis: (chunks, ...) -> (...)."""
    if parts.size <= _LITTLE:
        return parts.sum(0)
    out = empty(parts.shape[1:], parts.dtype)
    _added(parts.reshape(len(parts), -1), out.reshape(-1))
    return out


@kernel
def _added(work, parts, out):
    for first, last in spans(work, len(out), 1):
        piece = out[first:last]
        for k in range(len(parts)):
            part = parts[k, first:last]
            if k == 0:
                for i in range(len(piece)):
                    piece[i] = part[i]
            else:
                for i in range(len(piece)):
                    piece[i] += part[i]
