"""The most memory that this process has held."""

import contextlib
import sys
from pathlib import Path

__all__ = ["forget_peak", "peak_memory"]


def peak_memory(status="/proc/self/status"):
    """Bytes of the largest resident set so far; None where the system does not tell.

    Linux states it in `status` (VmHWM); elsewhere `getrusage` does, in bytes on macOS and in KiB on other systems.
    """
    try:
        for line in Path(status).read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def forget_peak(switch="/proc/self/clear_refs"):
    """Reset `peak_memory` to what is held now, where the system can do that: Linux."""
    with contextlib.suppress(OSError):
        Path(switch).write_text("5", encoding="ascii")
