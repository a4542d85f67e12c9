"""Write it yourself: exercises from one sum of products to a ghost network and its relatives. Checks say what is wrong.

    minighost learn init        writes the exercises into a folder, as files with gaps
    minighost learn             where you stand, and what comes next
    minighost learn watch       checks a file whenever you save it

A solution is an ordinary file of `exercises`, and its docstring the task; the learner's gaps are cut from it. The file
of the same name in `checks` says what a right answer does, and names the wrong ones that it is known to refuse.
"""
