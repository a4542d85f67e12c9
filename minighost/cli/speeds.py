"""What `minighost bench` found, as tables for a terminal."""

from minighost.terminal.text import table

__all__ = ["profile", "roofline", "speeds"]


def speeds(results):
    """Two small tables: how fast, and what that is computed from.

    Parameters
    ----------
    results : list of dict
        From `bench.report.as_dict`.

    Returns
    -------
    list of str
        No wider than 80 columns.
    """
    fast = [
        (
            r["name"],
            _short(r["median_ms"]),
            _short(r["min_ms"]),
            _short(r["iqr_ms"]),
            f"{r['images_per_s']:.0f}",
            f"{r['gflops_per_s']:.1f}",
            f"{r['gbytes_per_s']:.1f}",
            f"{100 * r['roofline_share']:.1f} %",
        )
        for r in results
    ]
    costs = [
        (
            r["name"],
            f"{r['flops'] / 1e6:,.1f}",
            f"{r['bytes'] / 1e6:,.2f}",
            f"{r['flops'] / r['bytes']:.1f}",
            _short(r["roofline_ms"]),
            f"{r['first_ms'] / 1e3:.2f}",
        )
        for r in results
    ]
    heads = (
        ("", "median ms", "min ms", "IQR ms", "images/s", "GFLOP/s", "GB/s", "roofline"),
        ("", "MFLOP", "minimum MB", "FLOP/byte", "roofline ms", "first call s"),
    )
    return [*table(fast, heads[0], "<" + ">" * 7), "", *table(costs, heads[1], "<" + ">" * 5)]


def profile(result):
    """A step kernel by kernel: share of its time and of the roofline as percentages.

    Kernels that take less than a hundredth of it share the second-to-last line.

    Parameters
    ----------
    result : dict
        From `bench.report.as_dict`, with a profile.
    """
    kernels, rest = result["profile"]["kernels"], result["profile"]["rest_ms"]
    total = sum(one["ms"] for one in kernels) + rest
    small = [one for one in kernels if one["ms"] < total / 100]

    def line(name, calls, ms, *more):
        return (name, calls, _short(ms), f"{100 * ms / total:.1f}", *more)

    rows = [
        line(
            one["kernel"],
            f"{one['calls']}",
            one["ms"],
            f"{one['bytes'] / 1e6:,.0f}",
            f"{1e-6 * one['bytes'] / one['ms']:.1f}",
            f"{1e-6 * one['flops'] / one['ms']:.0f}",
            f"{100 * one['roofline_share']:.0f}",
        )
        for one in kernels
        if one not in small
    ]
    if small:
        calls = sum(one["calls"] for one in small)
        rows.append(line(f"{len(small)} more", f"{calls}", sum(one["ms"] for one in small), *[""] * 4))
    rows.append(line("outside kernels", "", rest, *[""] * 4))
    head = (result["name"], "calls", "ms", "%", "MB", "GB/s", "GF/s", "roof%")
    return table(rows, head, "<" + ">" * 7)


def roofline(roof):
    """The two roofs in words."""
    sides = f"{roof.array_bytes / 1e6:,.0f} MB of arrays, last-level cache {roof.cache_bytes / 1e6:,.0f} MB"
    within = "; the arrays fit in the cache" if roof.array_bytes < 2 * roof.cache_bytes else ""
    return [
        f"peak       {roof.flops / 1e9:8.1f} GFLOP/s  float32 matrix products, those of the kernels",
        f"bandwidth  {roof.copy / 1e9:8.1f} GB/s     copy ({sides}{within})",
        f"           {roof.triad / 1e9:8.1f} GB/s     triad a = b + s*c, a compiled loop per thread",
        f"ridge      {roof.flops / roof.bandwidth:8.1f} FLOP/byte: below this, memory is the limit",
    ]


def _short(milliseconds):
    return f"{milliseconds:.3f}" if milliseconds < 10 else f"{milliseconds:.1f}"
