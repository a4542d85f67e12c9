"""What was measured and what follows from it, as JSON knows it."""

import platform

import minighost

__all__ = ["as_dict", "document"]


def as_dict(measured, roof):
    """One `Measured` with all that follows from it; times in milliseconds, rates in 1e9 per second.

    Parameters
    ----------
    measured : Measured
    roof : Roofline

    Returns
    -------
    dict
    """
    timing = measured.timing
    flops, nbytes = (sum(getattr(piece, part) for piece in measured.pieces) for part in ("flops", "bytes"))
    least = roof.least(measured.pieces)
    profiled = {} if measured.profile is None else {"profile": _profile(measured.profile, roof)}
    return {
        "name": measured.name,
        "repeats": len(timing.samples),
        "median_ms": 1e3 * timing.median,
        "min_ms": 1e3 * timing.least,
        "iqr_ms": 1e3 * timing.spread,
        "first_ms": 1e3 * timing.first,
        "images_per_s": measured.images / timing.median,
        "flops": flops,
        "bytes": nbytes,
        "gflops_per_s": flops / timing.median / 1e9,
        "gbytes_per_s": nbytes / timing.median / 1e9,
        "roofline_ms": 1e3 * least,
        "roofline_share": least / timing.median,
        "samples_ms": [1e3 * sample for sample in timing.samples],
        **profiled,
    }


def _profile(profile, roof):
    kernels = [
        {
            "kernel": one.kernel,
            "calls": len(one.pieces),
            "ms": 1e3 * one.seconds,
            "flops": sum(piece.flops for piece in one.pieces),
            "bytes": sum(piece.bytes for piece in one.pieces),
            "roofline_share": roof.least(one.pieces) / one.seconds,
        }
        for one in profile.kernels
    ]
    return {"kernels": kernels, "rest_ms": 1e3 * profile.rest}


def document(subject, results, roof, **more):
    """Everything for a JSON file: what was timed, on what, how fast.

    Parameters
    ----------
    subject : dict
        What was timed: ``what`` and its settings.
    results : list of dict
        From `as_dict`.
    roof : Roofline
    **more
        Further entries.
    """
    return {**subject, "threads": roof.threads, "results": results, **more, "roofline": _roof(roof), **_versions()}


def _roof(roof):
    return {
        "gflops_per_s": roof.flops / 1e9,
        "copy_gbytes_per_s": roof.copy / 1e9,
        "triad_gbytes_per_s": roof.triad / 1e9,
        "threads": roof.threads,
        "array_bytes": roof.array_bytes,
        "cache_bytes": roof.cache_bytes,
    }


def _versions():
    import numba
    import numpy

    return {
        "versions": {
            "minighost": minighost.__version__,
            "python": platform.python_version(),
            "numpy": numpy.__version__,
            "numba": numba.__version__,
        },
        "machine": f"{platform.machine()} {platform.system()}",
    }
