"""What exercise 1 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost.learn.compare import frozen, function, same

HINTS = (
    "Go through the indices k = 0 to K - 1 one by one, and keep a running total that starts at zero.",
    "`for k in range(len(x)):` goes through the indices. In the loop, add the product of the two numbers at index k to "
    "the total. The return comes after the loop, not in it.",
    "Before the loop `total = 0.0`; in the loop `total += ` the product of x[k] and w[k]; after it `return total`.",
)

WRONG = {
    "overwrites instead of adding": ("total += x[k]", "total = x[k]", r"last product alone.*\+="),
    "returns in the loop": ("    return total", "        return total", r"first product alone.*return"),
    "begins at 1": ("range(len(x))", "range(1, len(x))", r"first product is missing"),
    "ends too early": ("range(len(x))", "range(len(x) - 1)", r"last product is missing"),
    "adds the pair": ("x[k] * w[k]\n", "x[k] + w[k]\n", r"\* is missing"),
    "squares x": ("+= x[k] * w[k]", "+= x[k] * x[k]", r"w is not used"),
    "starts from 1": ("total = 0.0", "total = 1.0", r"too large by 1"),
    "reads w backwards": ("+= x[k] * w[k]", "+= x[k] * w[-1 - k]", r"w is read backwards"),
    "keeps whole numbers only": ("total += x[k] * w[k]", "total += int(x[k] * w[k])", r"random numbers"),
    "returns nothing": ("    return total", "    total", r"is there a return"),
    "returns the products": ("    return total", "    return [a * b for a, b in zip(x, w)]", r"must return a number"),
    "always the same": ("    return total", "    return 170.0", r"random numbers"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    sum_of_products = function(mine, "sum_of_products")
    x, w = np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 40.0])
    products = x * w
    known = [
        (products[-1], "this is the last product alone: is it total = instead of total +=?"),
        (products[0], "this is the first product alone: is the return inside the loop? Move it to the left"),
        (products[1:].sum(), "the first product is missing: indices count from 0"),
        (products[:-1].sum(), "the last product is missing: range(K) already ends at K - 1"),
        ((x + w).sum(), "this is the sum of all numbers: the * is missing"),
        (x @ x, "this is the sum of x[k] * x[k]: w is not used"),
        (w @ w, "this is the sum of w[k] * w[k]: x is not used"),
        (x @ w + 1, "it is too large by 1: a sum starts from 0"),
        (x @ w[::-1], "w is read backwards"),
        (x.sum() * w.sum(), "this is the product of the two sums; it must be the sum of the products"),
    ]
    same(sum_of_products(*frozen(x, w)), x @ w, "sum_of_products([1, 2, 3], [10, 20, 40])", hints=known)
    rng = np.random.default_rng(1)
    for K in (7, 1, 40):
        x, w = rng.normal(size=(2, K))
        same(sum_of_products(*frozen(x, w)), x @ w, f"sum_of_products(x, w of {K} random numbers each)")
    same(sum_of_products(np.zeros(0), np.zeros(0)), 0.0, "sum_of_products([], []), which has no products,")
