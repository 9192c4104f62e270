"""The machinery: modes, tensors, recording, the backward engine, in-place writes, the kinds of op.
Knows no particular op.

Reading order: ``state`` (modes), ``tensor`` (what a tensor is), ``autograd`` (nodes and
recording), ``engine`` (gradients on their way back), ``inplace`` (writes), ``op`` (what an op is,
and how it runs), ``elementwise`` (the most common kind), ``function`` (user-defined ops),
``sparse`` and ``meta`` (what stands in the place of an array),
``mt19937`` (random numbers).
"""
