"""Matrix products. In the order in which to read it:

- ``product``: what a product of the graph asks for
- ``gemm``: how the work is divided; ``packing``, ``micro``: copies of parts, and the inner kernels
- ``finish``: what a kernel does with its results instead of storing them
"""
