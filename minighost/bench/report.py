"""What was measured, as a table for a terminal and as JSON."""

import platform

import minighost

__all__ = ["as_dict", "document", "lines", "roofline_lines"]


def as_dict(measured, roof):
    """One `Measured` with all that follows from it; times in milliseconds, rates in 1e9 a second.

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
    }


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


def lines(results):
    """Two small tables: how fast, and out of what that follows.

    Parameters
    ----------
    results : list of dict
        From `as_dict`.

    Returns
    -------
    list of str
        No wider than 80 columns.
    """
    from minighost.cli.terminal import table

    fast = [
        (
            r["name"], _short(r["median_ms"]), _short(r["min_ms"]), _short(r["iqr_ms"]), f"{r['images_per_s']:.0f}",
            f"{r['gflops_per_s']:.1f}", f"{r['gbytes_per_s']:.1f}", f"{100 * r['roofline_share']:.1f} %",
        )
        for r in results
    ]  # fmt: skip
    costs = [
        (
            r["name"], f"{r['flops'] / 1e6:,.1f}", f"{r['bytes'] / 1e6:,.2f}",
            f"{r['flops'] / r['bytes']:.1f}", _short(r["roofline_ms"]), f"{r['first_ms'] / 1e3:.2f}",
        )
        for r in results
    ]  # fmt: skip
    heads = (
        ("", "median ms", "min ms", "IQR ms", "images/s", "GFLOP/s", "GB/s", "roofline"),
        ("", "MFLOP", "MB at least", "FLOP/byte", "roofline ms", "first call s"),
    )
    return [*table(fast, heads[0], "<" + ">" * 7), "", *table(costs, heads[1], "<" + ">" * 5)]


def roofline_lines(roof):
    """The two roofs in words."""
    sides = f"{roof.array_bytes / 1e6:,.0f} MB of arrays, last-level cache {roof.cache_bytes / 1e6:,.0f} MB"
    within = "; the arrays fit into the cache" if roof.array_bytes < 2 * roof.cache_bytes else ""
    return [
        f"peak       {roof.flops / 1e9:8.1f} GFLOP/s  float32 matrix products, one BLAS call a thread",
        f"bandwidth  {roof.copy / 1e9:8.1f} GB/s     copy ({sides}{within})",
        f"           {roof.triad / 1e9:8.1f} GB/s     triad a = b + s*c",
        f"ridge      {roof.flops / roof.bandwidth:8.1f} FLOP/byte: below that, memory is the limit",
    ]


def _short(milliseconds):
    return f"{milliseconds:.3f}" if milliseconds < 10 else f"{milliseconds:.1f}"


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
