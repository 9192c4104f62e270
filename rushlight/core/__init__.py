"""The machinery: modes, tensors, recording, the backward engine, in-place writes, the kinds of op.
Knows no particular op.

Reading order: ``state`` (modes), ``tensor`` (what a tensor is; ``size``: its shape), ``node`` (of
the graph), ``autograd`` (recording), ``engine`` (gradients on their way back), ``inplace`` (writes)
and ``history`` (what they do to the graph), ``op`` (what an op is, and how it runs; ``refusals``:
why it does not), ``elementwise`` (the most common kind; ``scalar``: what formulas may use,
``binds``: how its common cases are called, ``ready``: its kernels), ``reduction`` and ``view`` (the
other kinds), ``function`` (user-defined ops).

Apart: ``sparse``, ``meta``, ``wrapped`` and ``device_array`` (what stands in the place of an array;
``window``: what these have in common), ``mt19937`` (random numbers; ``generator``, ``sampling``,
``rejection`` and ``vector_math``: what is made of them), ``autocast``, ``overrides``
(``__torch_function__``), ``native`` (kernels for eager code), ``threads``, ``allocator``, ``trees``
(classes whose objects hold tensors).
"""
