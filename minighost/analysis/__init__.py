"""Looking into networks: what a layer costs, where the parameters are."""

from minighost.analysis.counts import Row, blocks, count, total_parameters

__all__ = ["Row", "blocks", "count", "total_parameters"]
