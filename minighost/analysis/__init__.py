"""Looking into networks: what a layer costs, where the parameters are, what passes through."""

from minighost.analysis.counts import Row, blocks, count, total_parameters
from minighost.analysis.tracing import Layer, Statistics, Trace, trace

__all__ = ["Layer", "Row", "Statistics", "Trace", "blocks", "count", "total_parameters", "trace"]
