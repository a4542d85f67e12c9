"""Add up products.

Almost everything that a network computes is one thing, done billions of times: multiply pairs of numbers and add up
the products.

    total = x[0] * w[0] + x[1] * w[1] + ... + x[K-1] * w[K-1]

x holds K measurements, w says how much each of them counts. The total is large where x is like w, negative where it is
like the opposite, and 0 where the two have nothing in common; so w is a pattern, and the sum asks how much of it there
is in x. A neuron, an entry of a matrix product and a pixel after a convolution are all sums of this kind.

    x = [1, 2, 3],  w = [10, 20, 40]        gives   1*10 + 2*20 + 3*40 = 170

NumPy has x @ w for this, and you may use it from the next exercise on. Here, write the loop, to see how the tool
works: replace the line that raises NotImplementedError, save, and run

    minighost learn check

If your answer is wrong, the check tells you what is wrong with it. If that is not enough, `minighost learn hint` has
three hints. You may print whatever you like. Files and functions must keep their names.
"""

# Yours -----------------------------------------------------------------------------------------------------------


def sum_of_products(x, w):
    """x and w, both of shape (K,) -> the sum of their K products, a number. Of no products the sum is 0."""
    total = 0.0
    for k in range(len(x)):
        total += x[k] * w[k]
    return total
