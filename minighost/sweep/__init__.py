"""Many training runs from one file: `space` reads what to try, `run_sweep` lets joblib run it, `results` compares.

Each trial is an ordinary run in a process of its own (`child`), which `trial` starts, watches and stops; so whatever
becomes of it, the others go on, on this machine as on a cluster.
"""
