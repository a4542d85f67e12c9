"""Pictures of what was looked for inside a network: opposite filters, similar maps, ghosts, blocks, fields."""

import contextlib

import numpy as np

from minighost.plots.figure import picture
from minighost.plots.style import INK, PALE, SERIES, TEST, TRAIN, plain

__all__ = ["correlation", "field", "ghosts", "pairing", "similar"]

COLUMNS = 8
FILTERS = {"color": TRAIN, "alpha": 0.75, "label": "filters"}


def pairing(layers, path, title):
    """A histogram per layer of the smallest cosines, beside that of random filters of the same size.

    Parameters
    ----------
    layers : list of analysis.Pairing
    path : path
    title : str
    """
    bins = np.linspace(-1, 0.2, 41)
    with _grid(path, title, len(layers), 4, (3.2, 2.2), sharex=True) as (_, cells):
        for cell, layer in zip(cells, layers, strict=True):
            for values, look in ((layer.random, {"color": PALE, "label": "random"}), (layer.cosines, FILTERS)):
                shares = np.full(values.size, 1 / values.size)
                cell.hist(values.clip(bins[0], bins[-1]).ravel(), bins, weights=shares, **look)
            cell.axvline(layer.random.mean(), color=INK, linewidth=0.8, linestyle=":")
            cell.axvline(layer.cosines.mean(), color=TRAIN, linewidth=1.2)
            count = f"{len(layer.cosines)} filters of {layer.weights:,} weights"
            cell.set_title(f"{layer.path}\n{count}", fontsize=8, parse_math=False)
            cell.set_yticks([])
            plain(cell, grid="x")
        cells[0].legend(frameon=False, fontsize=8)
        for cell in cells[-4:]:
            cell.set_xlabel("smallest cosine with another filter", fontsize=8)
            cell.tick_params(labelbottom=True, labelsize=8)


def similar(maps, pairs, path, title):
    """The maps of one image, the similar ones in boxes of one colour (Han et al. 2020, figure 1).

    Parameters
    ----------
    maps : ndarray, shape (H, W, C)
    pairs : list of analysis.SimilarPair
    path : path
    title : str
    """
    colours = {}
    for pair, colour in zip(pairs, SERIES, strict=False):
        colours[pair.first] = colours[pair.second] = colour
    channels = maps.shape[2]
    rows = -(-channels // COLUMNS)
    with picture(path, 1.1 * COLUMNS, 1.2 * rows + 0.6) as figure:
        figure.suptitle(title, color=INK, fontsize=11, parse_math=False)
        cells = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
        for k, cell in enumerate(cells):
            _map(cell, maps[:, :, k] if k < channels else None, str(k), colours.get(k))


def ghosts(found, path, title, most=COLUMNS):
    """A ghost module a row of pairs: intrinsic maps above, the ghost of each below.

    Parameters
    ----------
    found : list of analysis.GhostMaps
    path : path
    title : str
    most : int
        Intrinsic maps per module.
    """
    with picture(path, 1.1 * most + 1.2, 2.3 * len(found) + 0.6) as figure:
        figure.suptitle(f"{title}: intrinsic maps above, their ghosts below", color=INK, fontsize=11, parse_math=False)
        rows = figure.subplots(2 * len(found), most, squeeze=False)
        for module, (above, below) in zip(found, zip(rows[::2], rows[1::2], strict=True), strict=True):
            m = module.intrinsic.shape[2]
            each = module.ghosts.shape[2] // m
            for k in range(most):
                _map(above[k], module.intrinsic[:, :, k] if k < m else None, "", None)
                _map(below[k], module.ghosts[:, :, k * each] if k < m else None, "", TRAIN)
            above[0].set_title(module.path, fontsize=8, loc="left", parse_math=False)


def correlation(found, path, title):
    """The correlation of two layers' channels as a picture.

    Parameters
    ----------
    found : list of analysis.FilterCorrelation
    path : path
    title : str
    """
    with _grid(path, title, len(found), 3, (3.6, 3.7)) as (figure, cells):
        for cell, one in zip(cells, found, strict=True):
            image = cell.imshow(one.matrix, cmap="magma", vmin=0, vmax=max(0.05, np.percentile(one.matrix, 99)))
            cell.set_xlabel(one.second, fontsize=7, parse_math=False)
            cell.set_ylabel(one.first, fontsize=7, parse_math=False)
            cell.tick_params(labelsize=6)
            figure.colorbar(image, ax=cell, shrink=0.7).ax.tick_params(labelsize=6)


def field(found, sides, path, title):
    """How much each pixel matters to the centre of a map, and the square of the formula around it.

    Parameters
    ----------
    found : dict of str to analysis.EffectiveField
        From the layer's path.
    sides : dict of str to int or None
        The side of the field by the formula; None if it is the whole image.
    path : path
    title : str
    """
    with _grid(path, title, len(found), 4, (2.7, 3.0)) as (_, cells):
        from matplotlib.patches import Rectangle

        for cell, (name, one) in zip(cells, found.items(), strict=True):
            cell.set_axis_off()
            cell.imshow(np.sqrt(one.influence), cmap="magma")
            H, W = one.influence.shape
            side = sides[name]
            if side is not None and side < min(H, W):
                left, top = (
                    _start(used, side) - 0.5 for used in (one.influence.any(axis=0), one.influence.any(axis=1))
                )
                cell.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor=TEST, linewidth=1.2))
            formula = "all" if side is None else str(side)
            cell.set_title(f"{name}\n95 % within {one.side:.0f}, formula {formula}", fontsize=8, parse_math=False)


def _start(used, side):
    """Where a field of `side` pixels begins, of which the image holds those `used`: before it, if cut off there."""
    first, last = np.flatnonzero(used)[[0, -1]]
    return last - side + 1 if first == 0 else first


@contextlib.contextmanager
def _grid(path, title, count, most, size, **shared):
    """A figure and `count` axes of `size` inches, in rows of at most `most`; the rest of the last row is empty."""
    columns = min(most, count)
    rows = -(-count // columns)
    with picture(path, size[0] * columns, size[1] * rows + 0.6) as figure:
        figure.suptitle(title, color=INK, fontsize=11, parse_math=False)
        cells = figure.subplots(rows, columns, squeeze=False, **shared).ravel()
        for cell in cells[count:]:
            cell.set_axis_off()
        yield figure, cells[:count]


def _map(cell, plane, title, colour):
    cell.set_xticks([])
    cell.set_yticks([])
    if plane is None:
        cell.set_axis_off()
        return
    cell.imshow(plane, cmap="gray")
    cell.spines[:].set(visible=colour is not None, color=colour, linewidth=3)
    if title:
        cell.set_title(title, fontsize=6, pad=1)
