"""Looking into networks: what a layer costs, where the parameters are, what passes through."""

from minighost.analysis.receptive_field import Field, receptive_field, receptive_fields
from minighost.analysis.tracing import Layer, Statistics, Trace, trace
from minighost.analysis.zoo import Entry, entries, standard_forms
from minighost.nn.counts import Row, blocks, count, total_parameters

__all__ = [
    "Entry",
    "Field",
    "Layer",
    "Row",
    "Statistics",
    "Trace",
    "blocks",
    "count",
    "entries",
    "receptive_field",
    "receptive_fields",
    "standard_forms",
    "total_parameters",
    "trace",
]
