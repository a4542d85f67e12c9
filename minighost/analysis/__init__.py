"""Looking into networks: what a layer costs, where the parameters are, what passes through."""

from minighost.analysis.counts import Row, blocks, count, total_parameters
from minighost.analysis.tracing import Layer, Statistics, Trace, trace
from minighost.analysis.zoo import Entry, entries, standard_forms

__all__ = [
    "Entry",
    "Layer",
    "Row",
    "Statistics",
    "Trace",
    "blocks",
    "count",
    "entries",
    "standard_forms",
    "total_parameters",
    "trace",
]
