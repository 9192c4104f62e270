"""How kernels are written as LLVM IR. In the order in which to read it:

- ``text``: names, constants, blocks; ``code``: addresses, loops, vectors with masks, tables
- ``math``: operations on vectors; ``lanes``: vectors as operands of Python's operators
- functions of vectors: ``exponentials``, ``angles``, ``gauss``, ``remainders``, ``coefficients``
"""
