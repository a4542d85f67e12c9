"""What figures were measured on."""

import os
import platform
from pathlib import Path

__all__ = ["machine"]


def machine(cpuinfo="/proc/cpuinfo"):
    """Processor, cores, system and Python: ``{"cpu": ..., "cores": ..., "system": ..., "python": ...}``.

    Parameters
    ----------
    cpuinfo : path
        Where Linux says what the processor is.
    """
    return {
        "cpu": _cpu(cpuinfo),
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _cpu(path):
    """The processor's name, as far as the system tells."""
    try:
        for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
