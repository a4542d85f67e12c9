"""How fast is it here: one network or one operation timed on this machine, beside what the machine could do.

`timing` (a fair clock), `cost` (operations and bytes of a network), `roofline` (what this machine attains at best),
`network` and `operation` (the two things that can be timed), `blocks` (a network block by block), `profile` (a step
kernel by kernel), `report` (tables and JSON), `warmup` (compile ahead).
"""

from minighost.bench.blocks import BlockCost, GhostSpeed, block_costs, ghost_speeds
from minighost.bench.cost import Piece, inference_cost, training_cost
from minighost.bench.machine import machine
from minighost.bench.network import TrainingStep, bench_network, inference_of
from minighost.bench.operation import OPERATIONS, bench_operation
from minighost.bench.profile import profile
from minighost.bench.roofline import Roofline, measure_roofline, roofline_here
from minighost.bench.timing import Timing, measure
from minighost.bench.warmup import kernels_folder, warm_up

__all__ = [
    "BlockCost",
    "GhostSpeed",
    "OPERATIONS",
    "Piece",
    "Roofline",
    "Timing",
    "TrainingStep",
    "bench_network",
    "bench_operation",
    "block_costs",
    "ghost_speeds",
    "inference_cost",
    "inference_of",
    "kernels_folder",
    "machine",
    "measure",
    "measure_roofline",
    "profile",
    "roofline_here",
    "training_cost",
    "warm_up",
]
