"""Native code through llvmlite, the only package here that imports it (when a program is built,
never before). In the order in which to read it:

- a program and how it runs: ``program``, ``launch`` (what a kernel is), ``runtime``, ``workers``,
  ``entry``, ``calls`` (kernels of eager code), ``jit`` (machine code and its cache)
- kernels from loops: ``kernels``, ``canonical``
- how code is written: ``text``, ``code``, ``math`` and ``lanes`` (vectors); functions of vectors
  are in ``exponentials``, ``angles``, ``gauss`` and ``remainders``, with ``coefficients``
- matrix products: ``products``, ``gemm``, ``micro``, ``packing``, ``finish``
- other ops with kernels of their own (``templates``): ``convolution``, ``attention``,
  ``recurrent``, ``rows``, ``draws``, and ``serial`` for eager code
"""
