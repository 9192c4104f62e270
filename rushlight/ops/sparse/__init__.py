"""Sparse tensors: a pattern, which says where entries lie, and a vector of values.

``pattern`` keeps what can be said of places alone. ``entries`` are the ops between a sparse tensor,
its values, and dense tensors; ``products`` those that multiply. All of them take values and dense
tensors, and patterns as parameters, so their gradients are each other, to any order. ``rules`` says
what ordinary ops do where an operand is sparse; ``elementwise`` and ``structure`` hold the rules.
"""

from rushlight.ops.sparse import elementwise, rules, structure
