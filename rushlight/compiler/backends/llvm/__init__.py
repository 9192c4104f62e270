"""Native code through llvmlite, the only package here that imports it (when a program is built,
never before). In the order in which to read it:

- a program and how it runs: ``plan`` (what it is), ``program``, ``launch`` (what a kernel is),
  ``runtime``, ``workers``, ``entry`` and ``entry_code``, ``jit`` (machine code and its cache),
  ``recall`` (kernels kept as they were written)
- kernels from loops: ``kernels``, ``squares``, ``canonical``
- ``ir``: how code is written, and functions of vectors
- ops with kernels of their own (``templates``): ``products``, ``convolution``, ``attention``
  (with ``attention_products``), ``recurrent``, ``rows``, ``order``, ``selection``, ``ranks``,
  ``runs``, ``tops``, ``taps``, ``totals``, ``draws``
- kernels of eager code (``calls``), called as Python's built-in functions are (``direct`` and
  ``direct_code``), and its loops for any sizes: ``serial``, ``moves``, ``casts``, ``ramps``,
  ``grids``, ``pairs``, ``extremes``, ``bags``, ``picks``, ``ctc``, ``spreads``, ``small``,
  ``reflections``, ``sparse``, ``softmaxes``, ``norms``, ``norm_gradients``, ``pools``
"""
