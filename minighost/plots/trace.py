"""A traced network as a picture: one row per layer, from the image at the top to the logits at the bottom."""

import numpy as np

from minighost.plots.figure import picture
from minighost.plots.inline import shown

__all__ = ["save"]

COLUMNS = 161  # of the picture of the histograms


def save(layers, path):
    """Draw a list of `Layer` to a PNG or another file that matplotlib writes; returns the path.

    Four panels side by side: the distribution of each output, its spread, the share of zeros and of dead channels,
    and the size of the gradients.
    """
    rows = np.arange(len(layers))
    with picture(path, 13, max(3.2, 1.4 + 0.17 * len(layers)), dpi=110) as figure:
        panels = figure.subplots(1, 4, sharey=True, width_ratios=(4, 2, 2, 2))
        _distributions(panels[0], [layer.output for layer in layers])
        _spread(panels[1], rows, [layer.output for layer in layers])
        _zeros(panels[2], rows, [layer.output for layer in layers])
        _gradients(panels[3], rows, layers)
        panels[0].set_yticks(rows, [f"{layer.path}  {layer.kind}" for layer in layers], fontsize=7, parse_math=False)
        panels[0].set_ylim(len(layers) - 0.5, -0.5)
        for axes in panels[1:]:
            axes.grid(axis="y", linewidth=0.3, color="0.85")
            axes.tick_params(left=False)
            axes.spines[["top", "right", "left"]].set_visible(False)
    return shown(path)


def _distributions(axes, outputs):
    """Histograms as rows of a picture on one axis of values: dark is frequent, on a logarithmic scale."""
    reach = 4 * np.nanmedian([one.rms for one in outputs]) if outputs else 1.0
    reach = reach if np.isfinite(reach) and reach > 0 else 1.0
    values = np.linspace(-reach, reach, COLUMNS)
    picture = np.zeros((len(outputs), COLUMNS))
    for row, one in zip(picture, outputs, strict=True):
        if one.counts.sum():
            density = np.concatenate([[0], one.counts / (one.counts.sum() * np.diff(one.edges)), [0]])
            row += density[np.searchsorted(one.edges, values, side="right")]
    axes.imshow(
        np.log1p(picture * 100),
        cmap="Greys",
        aspect="auto",
        interpolation="nearest",
        extent=(-reach, reach, len(outputs) - 0.5, -0.5),
    )
    axes.axvline(0, color="tab:orange", linewidth=0.6)
    axes.set_title("outputs: how often which value", fontsize=9)
    axes.set_xlabel("value", fontsize=8)


def _spread(axes, rows, outputs):
    axes.plot([one.std for one in outputs], rows, ".-", linewidth=0.8, label="std")
    axes.plot([abs(one.mean) for one in outputs], rows, ".", color="0.6", label="|mean|")
    spreads = [one.std for one in outputs if one.std > 0]
    if spreads:
        axes.set_xscale("log")
        axes.set_xlim(min(spreads) / 10, None)  # a mean after batch norm is a rounding error, and far to the left
    axes.set_title("outputs: spread", fontsize=9)
    axes.legend(fontsize=7)


def _zeros(axes, rows, outputs):
    axes.barh(rows, [one.zeros for one in outputs], color="0.8", label="zeros")
    axes.barh(rows, [one.dead / one.shape[-1] for one in outputs], 0.4, color="tab:red", label="dead channels")
    axes.set_xlim(0, 1)
    axes.set_title("outputs: share of zeros", fontsize=9)
    axes.legend(fontsize=7)


def _gradients(axes, rows, layers):
    axes.set_title("gradient of the output: rms", fontsize=9)
    known = [(row, layer.dout.rms) for row, layer in zip(rows, layers, strict=True) if layer.dout]
    if not known:
        axes.text(0.5, 0.5, "no backward was run", ha="center", transform=axes.transAxes, fontsize=8)
        return
    axes.plot([rms for _, rms in known], [row for row, _ in known], ".-", linewidth=0.8, color="tab:green")
    if any(rms > 0 for _, rms in known):
        axes.set_xscale("log")
