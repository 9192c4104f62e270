"""The machinery: modes, tensors, recording, the backward engine, in-place writes, the kinds of op.
Knows no particular op.

Reading order: ``state`` (modes), ``tensor`` (what a tensor is), ``node`` (of the graph),
``autograd`` (recording), ``engine`` (gradients on their way back), ``inplace`` (writes) and
``history`` (what they do to the graph), ``op`` (what an op is, and how it runs), ``elementwise``
(the most common kind; ``binds``: how its common cases are called, ``ready``: its kernels),
``reduction`` and ``view`` (the other kinds), ``function`` (user-defined ops), ``sparse`` and
``meta`` (what stands in the place of an array), ``mt19937`` (random numbers).
"""
