"""Looking into networks: what a layer costs, where the parameters are, what passes through."""

from minighost.analysis.effective_field import EffectiveField, effective_field
from minighost.analysis.filter_correlation import FilterCorrelation, filter_correlation
from minighost.analysis.maps import GhostMaps, ghost_maps, layer_maps
from minighost.analysis.pairing import Pairing, pairing
from minighost.analysis.receptive_field import Field, receptive_field, receptive_fields
from minighost.analysis.redundancy import SimilarPair, prediction_error, similar_pairs
from minighost.analysis.tracing import Layer, Statistics, Trace, trace
from minighost.analysis.zoo import Entry, entries, standard_forms
from minighost.nn.counts import Row, blocks, count, total_parameters

__all__ = [
    "EffectiveField",
    "Entry",
    "Field",
    "FilterCorrelation",
    "GhostMaps",
    "Layer",
    "Pairing",
    "Row",
    "SimilarPair",
    "Statistics",
    "Trace",
    "blocks",
    "count",
    "effective_field",
    "entries",
    "filter_correlation",
    "ghost_maps",
    "layer_maps",
    "pairing",
    "prediction_error",
    "receptive_field",
    "receptive_fields",
    "similar_pairs",
    "standard_forms",
    "total_parameters",
    "trace",
]
