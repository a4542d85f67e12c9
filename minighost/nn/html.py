"""A network as a notebook shows it: a tree whose branches open and close."""

import html

from minighost.nn.counts import total_parameters
from minighost.nn.module import Module
from minighost.nn.parameter import Parameter

__all__ = ["tree"]

OPEN = 2  # levels that are open at first
LINE = "font-family:monospace;white-space:pre;line-height:1.5"
INSIDE = "margin-left:1.4em"


def tree(model: Module) -> str:
    """HTML: of each module its name, class, parameters, and the shape of its last output."""
    return f'<div style="{LINE}">{_branch(model, "", 0, set())}</div>'


def _branch(module, name, depth, seen):
    words = (f"{name}: " if name else "") + type(module).__name__
    if id(module) in seen:
        return f"<div>{html.escape(words)}, as above</div>"
    seen.add(id(module))
    own = [f"{key} {value.shape}" for key, value in vars(module).items() if isinstance(value, Parameter)]
    notes = [", ".join(own)] if own else []
    if inside := list(module.named_children()):
        notes.append(f"{total_parameters(module):,} parameters")
    if module.output_shape is not None:
        notes.append("gives " + "x".join(map(str, module.output_shape)))
    text = f'{html.escape(words)} <span style="opacity:0.65">{html.escape("; ".join(notes))}</span>'
    if not inside:
        return f"<div>{text}</div>"
    branches = "".join(_branch(child, key, depth + 1, seen) for key, child in inside)
    state = " open" if depth < OPEN else ""
    return f'<details{state}><summary>{text}</summary><div style="{INSIDE}">{branches}</div></details>'
