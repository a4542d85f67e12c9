"""The papers' claims, each an experiment that one command repeats: ``minighost experiment run ghost-d``.

Read `experiment` first: it says what an experiment is, and how to add one. `catalogue` has them all, a file each. `run`
has a sweep train the arms, `findings` gathers what they reached, `reading` says what follows from it, and `report`
writes it down.
"""
