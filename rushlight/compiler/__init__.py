"""From a Python function to native code, in order of flow. ``pipeline`` is the table of contents of
what happens to a graph; docs/compiler.md follows a small step all the way.

What the user calls, and which program serves a call:

- ``front``: ``torch.compile`` and what is in ``torch.compiler``; ``config``: its settings;
  ``explain``: what a call became
- ``compiled``: a function with its programs; ``variant``: one of them, with a call's memory;
  ``buffers``: memory for results; ``live``, ``second``: calls that are differentiated outside;
  ``entered``: programs that are entered directly
- ``signatures``, ``leaves``, ``given``: what a program depends on in arguments
- ``surroundings``: what a function reaches besides; of that ``code`` says what it may read,
  ``objects`` where attributes are, ``guards``, ``optimizer_guards`` and ``tensor_guards`` that it
  is as it was, ``held`` and ``layout`` what that was, and ``places`` where it may change

A call becomes a graph:

- ``capture``: one call, traced and judged; ``trace``: what core tells of it; ``values``: what
  arrays stand for, ``storages`` what they look at, ``orders`` how results lie in memory and
  ``parts`` how arguments do, ``living`` what outlives the call; ``graph``: the result, with its
  verifier
- numbers that may be others later: ``traced_numbers``, ``python_numbers``, ``numeric``,
  ``counted`` and ``sources`` (an optimizer's), ``drawn`` from ``generators``, ``indices``,
  ``lists``
- ``lent`` and ``early``: NumPy's arrays; ``said``: what is printed; ``results``: what is returned;
  ``replay``: the call made again by its program; ``lines``: where in the user's code it happens

A graph becomes a program:

- ``passes``: graph to graph; ``primitives``: ops that only graphs contain
- ``lower``: into ``steps``, after ``settle`` has said what gets memory of its own; ``fits``: which
  nodes have native forms, ``epilogues``: what products run on their results; ``turning``: what
  kernels go through in another order than memory
- ``loops``: what a kernel computes, made by ``body`` of ``formulas`` and ``scalars``, with
  ``special`` functions (``special_coefficients``), ``axes`` and ``windows``; ``forms``: what equal
  kernels have in common
- ``memory``: where values live; ``streams``: of random numbers; ``verify``: what must hold
- ``program``: what can be called; ``staged``: on several devices; ``disk``: kept; ``backends``

Kernels for eager code: ``eager`` gives single operations programs of their own, ``eager_loops``
loops for arrays of any size; on a GPU ``device``, with ``alone`` and ``kinds``.
"""

from rushlight.compiler import config as config
from rushlight.compiler.explain import explain
from rushlight.compiler.front import (
    allow_in_graph,
    assume_constant_result,
    compile,
    cudagraph_mark_step_begin,
    disable,
    is_compiling,
    is_dynamo_compiling,
    is_exporting,
    list_backends,
    reset,
    set_stance,
)
