"""The machine under the mathematics: threads, vectors, matrix products, memory, compiled kernels, inference.

`ops` says what is computed; here it is computed fast. Nothing here knows of `ops`, layers or networks.

    launch, parallel, cores     the pool of threads: `kernel`, `tile`, how work is shared
    memory, gemm, moments       arrays that are kept from step to step, matrix products, means and variances
    geometry, check, batch_norm what is known of the arguments before a kernel runs
    kernel_cache, linked        compiled code: kept on disk, compiled once
    kernels/                    convolutions that normalise what they read and sum what they write
    inference/                  a folded network, run a few images at a time
"""
