"""minighost against its peers: the same work, run alternately, on the same machine.

    python -m versus                                         # everything that is installed
    python -m versus --only "ghostnet-1.0-*" --rounds 7 --threads 2 --peers torch-channels-last,onnxruntime

How it is kept fair: every contestant runs in its own process and is built, compiled and warmed up before the first
turn. Then they take turns - A B C, A B C, ... - because a machine's speed drifts by a third within minutes; a ratio
is computed within each round, and the median of these ratios is reported. Before anything is timed, the results of
each contestant are compared with minighost's: a comparison of two different functions would be worthless.

Read `works` (what is timed), `peers` (who does it), `worker` and `process` (a contestant's process, from the inside
and from the outside), `rounds` (the turns), `compare` (agreement and ratios), `report` and `plot`.
"""
