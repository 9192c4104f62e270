"""How a graph is executed: ``reference`` with NumPy, node by node; ``llvm`` as native code."""
