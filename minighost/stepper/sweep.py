"""The walk in single products: what all convolutions on these pages are made of.

`gather` collects a window into one number, which is a convolution's forward. `scatter` gives one number back to its
window, and `kernel_gradient` adds up what each weight saw; together they are the backward. In a transposed
convolution the two change places: its forward scatters and its backward gathers. So the arrays are passed in under
the names that they have there, and the roles say which of them is a gradient.
"""

import numpy as np

from minighost.stepper.walk import row_cells
from minighost.stepper.words import say, spelled

__all__ = ["gather", "kernel_gradient", "scatter"]


def gather(script, lines, walk, x, w, row, out, role="x"):
    """``out[i, j, o] = sum over taps and channels of x * w``; `row` has the lines x, w and x*w."""
    for ins, outs in walk.slices():
        for i, j in walk.positions():
            taps, inside = walk.window(i, j)
            pixels = [(h, k, c) for _, _, h, k in taps for c in ins]
            script.scope(("scope", x, pixels))
            entries = row_cells(walk, 0, taps)
            writes = [(row, e, x[p]) for e, p in zip(entries, pixels, strict=True)]
            writes += [(row, e, np.nan) for line in (1, 2) for e in row_cells(walk, line, taps)]
            script.step(
                lines.visit,
                _window_words(walk, x.name, out.name, i, j, ins, taps, inside),
                (),
                writes,
                [("new", row, entries)],
                landmark=True,
            )
            for o in outs:
                _gather_one(script, lines, walk, (x, w, row, out), i, j, ins, o, role)
    script.scope()
    script.step(
        lines.done, say(f"{out.name} is complete: these are the numbers that the operation returns."), landmark=True
    )


def _gather_one(script, lines, walk, arrays, i, j, ins, o, role):
    x, w, row, out = arrays
    taps, inside = walk.window(i, j)
    cell, name, sums = (i, j, o), spelled(out.name, i, j, o), []
    script.scope(
        ("scope", x, [(h, k, c) for _, _, h, k in taps for c in ins]),
        ("scope", w, [(u, v, c, o) for u, v, _, _ in taps for c in ins]),
        ("scope", out, [cell]),
    )
    column = [(row, e, w[u, v, c, o]) for e, (u, v, c) in zip(row_cells(walk, 1, taps), _with(taps, ins), strict=True)]
    column += [(row, e, np.nan) for e in row_cells(walk, 2, taps)]
    for u, v, h, k in inside:
        pairs = [(x[h, k, c], w[u, v, c, o]) for c in ins]
        old, part = out[cell], sum(a * b for a, b in pairs)
        sums.append(part)
        products = [(row, e, a * b) for e, (a, b) in zip(row_cells(walk, 2, [(u, v, h, k)]), pairs, strict=True)]
        here = [e for line in (0, 1, 2) for e in row_cells(walk, line, [(u, v, h, k)])]
        script.step(
            lines.add,
            _tap_words(walk, u, v, h, k, name),
            [_sum_of_products(name, old, pairs, old + part, role)],
            [*column, *products, (out, cell, old + part)],
            [
                (role, x, [(h, k, c) for c in ins]),
                ("w", w, [(u, v, c, o) for c in ins]),
                ("scope", row, here),
                ("new", out, [cell]),
            ],
        )
        column = []
    whole = "{} = " + " + ".join(["{}"] * len(sums)) + " = {new}"
    script.step(
        lines.add,
        say("{} is complete: the row times column {} of the kernel matrix.", name, o)
        if sums
        else say("All taps of {} are on the padding: it stays 0.", name),
        [say(whole, name, *sums, out[cell])] if len(sums) > 1 else [],
        column,
        [("new", out, [cell])],
        landmark=True,
    )


def scatter(script, lines, walk, dout, w, row, dx, role="d"):
    """``dx[h, k, c] += dout[i, j, o] * w[u, v, c, o]``; `row` has the lines w and dout*w."""
    for ins, outs in walk.slices():
        for i, j in walk.positions():
            for o in outs:
                _scatter_one(script, lines, walk, (dout, w, row, dx), i, j, ins, o, role)
    script.scope()
    script.step(
        lines.done, say(f"{dx.name} is complete: these are the numbers that the operation returns."), landmark=True
    )


def _scatter_one(script, lines, walk, arrays, i, j, ins, o, role):
    dout, w, row, dx = arrays
    taps, inside = walk.window(i, j)
    d, name, G = dout[i, j, o], spelled(dout.name, i, j, o), len(ins)
    script.scope(
        (role, dout, [(i, j, o)]),
        ("scope", w, [(u, v, c, o) for u, v, _, _ in taps for c in ins]),
        ("scope", dx, [(h, k, c) for _, _, h, k in inside for c in ins]),
    )
    weights = [w[u, v, c, o] for u, v, c in _with(taps, ins)]
    entries = row_cells(walk, 0, taps), row_cells(walk, 1, taps)
    writes = [(row, e, value) for e, value in zip(entries[0], weights, strict=True)]
    writes += [(row, e, d * value) for e, value in zip(entries[1], weights, strict=True)]
    script.step(
        lines.visit,
        _give_words(name, d, o, dx.name, len(taps) - len(inside), role),
        [say(f"{row.rows[1]} = {{{role}}} * kernel {{}}", d, o)],
        writes,
        [("new", row, entries[1])],
        landmark=True,
    )
    for u, v, h, k in inside:
        equations, adds = [], []
        for c in ins:
            old, weight = dx[h, k, c], w[u, v, c, o]
            new = old + d * weight
            where = spelled(dx.name, h, k, c)
            equations.append(say(f"{{}} = {{}} + {{{role}}} * {{w}} = {{new}}", where, old, d, weight, new))
            adds.append((dx, (h, k, c), new))
        script.step(
            lines.add,
            _tap(
                walk,
                "Tap ({}, {}) is on pixel ({}, {}): " if walk.taps > 1 else "Pixel ({}, {}): ",
                f"{_counted(G, 'contribution')} {'is' if G == 1 else 'are'} added to what is there.",
                u,
                v,
                h,
                k,
            ),
            equations,
            adds,
            [
                ("w", w, [(u, v, c, o) for c in ins]),
                ("scope", row, row_cells(walk, 1, [(u, v, h, k)])),
                ("new", dx, [(h, k, c) for c in ins]),
            ],
        )


def kernel_gradient(script, lines, walk, x, dout, row, dw, roles=("x", "d")):
    """``dw[u, v, c, o] += x[h, k, c] * dout[i, j, o]``; `row` has the lines x and x*dout."""
    for ins, outs in walk.slices():
        for i, j in walk.positions():
            for o in outs:
                _kernel_gradient_one(script, lines, walk, (x, dout, row, dw), i, j, ins, o, roles)
    script.scope()
    script.step(
        lines.done, say(f"{dw.name} is complete: these are the numbers that the operation returns."), landmark=True
    )


def _kernel_gradient_one(script, lines, walk, arrays, i, j, ins, o, roles):
    x, dout, row, dw = arrays
    taps, inside = walk.window(i, j)
    d, name, G = dout[i, j, o], spelled(dout.name, i, j, o), len(ins)
    pixels = [(h, k, c) for _, _, h, k in taps for c in ins]
    a, b = (f"{{{role}}}" for role in roles)
    script.scope(
        (roles[1], dout, [(i, j, o)]),
        ("scope", x, pixels),
        ("scope", dw, [(u, v, c, o) for u, v, _, _ in taps for c in ins]),
    )
    entries = row_cells(walk, 0, taps), row_cells(walk, 1, taps)
    writes = [(row, e, x[p]) for e, p in zip(entries[0], pixels, strict=True)]
    writes += [(row, e, d * x[p]) for e, p in zip(entries[1], pixels, strict=True)]
    script.step(
        lines.visit,
        say(
            f"{{}} = {b}: each weight of kernel {{}} took part in it once, times the number under its tap. The weight "
            f"receives that number times {b}.",
            name,
            d,
            o,
            d,
        ),
        [say(f"{row.rows[1]} = row of {x.name} * {b}", d)],
        writes,
        [("new", row, entries[1])],
        landmark=True,
    )
    for u, v, h, k in inside:
        equations, adds = [], []
        for local, c in enumerate(ins):
            old, pixel = dw[u, v, c, o], x[h, k, c]
            new = old + pixel * d
            where = spelled(dw.name, u, v, local, o)
            equations.append(say(f"{{}} = {{}} + {a} * {b} = {{new}}", where, old, pixel, d, new))
            adds.append((dw, (u, v, c, o), new))
        script.step(
            lines.add,
            _tap(
                walk,
                "Tap ({}, {}) saw pixel ({}, {}): " if walk.taps > 1 else "Pixel ({}, {}): ",
                f"what it saw, times {dout.name}, is added to {_counted(G, 'weight')}.",
                u,
                v,
                h,
                k,
            ),
            equations,
            adds,
            [
                (roles[0], x, [(h, k, c) for c in ins]),
                ("scope", row, row_cells(walk, 1, [(u, v, h, k)])),
                ("new", dw, [(u, v, c, o) for c in ins]),
            ],
        )


# The sentences -------------------------------------------------------------------------------------------------


def _window_words(walk, x, out, i, j, ins, taps, inside):
    rows, columns = [t[2] for t in taps], [t[3] for t in taps]
    template = f"{out} ({{}}, {{}}): the window covers rows {{}} to {{}} and columns {{}} to {{}} of {x}"
    values = [i, j, rows[0], rows[-1], columns[0], columns[-1]]
    if len(taps) == 1:
        template, values = f"{out} ({{}}, {{}}): the kernel is on pixel ({{}}, {{}}) of {x}", [i, j, *taps[0][2:]]
    elif (walk.g.DH, walk.g.DW) != (1, 1):
        template, values = template + ", one pixel in {}", [*values, walk.g.DH]
    if walk.groups > 1:
        template, values = template + (", channels {} to {}" if len(ins) > 1 else ", channel {}"), [*values, ins[0]]
        values += [ins[-1]] if len(ins) > 1 else []
    template += ". Read in the order (u, v, c) it is one row of im2col"
    missing = len(taps) - len(inside)
    if missing:
        template += f"; {{}} of its {len(taps)} taps {'is' if missing == 1 else 'are'} on the padding"
        values.append(missing)
    return say(template + ".", *values)


def _tap_words(walk, u, v, h, k, name):
    n = walk.C // walk.groups
    if walk.g.KH * walk.g.KW == 1:
        return say(f"Pixel ({{}}, {{}}) times the kernel: {_counted(n, 'product')} for {{}}.", h, k, name)
    go = "one more product goes" if n == 1 else f"{n} more products go"
    return say(f"Tap ({{}}, {{}}) is on pixel ({{}}, {{}}): {go} into {{}}.", u, v, h, k, name)


def _tap(walk, where, what, u, v, h, k):
    return say(where + what, *((u, v) if walk.taps > 1 else ()), h, k)


def _give_words(name, d, o, dx, dropped, role):
    way = "goes back the way it came" if role == "d" else f"is scattered into {dx}"
    template = f"{{}} = {{{role}}} {way}, multiplied by each weight of kernel {{}}, to the pixel under the tap"
    if dropped:
        verb, are = ("lands", "is") if dropped == 1 else ("land", "are")
        template += f"; {{}} {verb} on the padding and {are} dropped"
    return say(template + ".", name, d, o, *([dropped] if dropped else []))


def _sum_of_products(name, old, pairs, new, role):
    template = "{} = {} + " + " + ".join([f"{{{role}}} * {{w}}"] * len(pairs)) + " = {new}"
    return say(template, name, old, *(v for pair in pairs for v in pair), new)


def _with(taps, ins):
    return [(u, v, c) for u, v, _, _ in taps for c in ins]


def _counted(n, noun):
    return f"one {noun}" if n == 1 else f"{n} {noun}s"
