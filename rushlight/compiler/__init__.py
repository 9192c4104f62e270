"""From a Python function to native code, in order of flow.

``front`` (what the user calls) -> ``compiled`` (which program serves a call; ``signatures``: what
programs depend on in arguments; ``surroundings``: what a function reaches, of which ``code`` says
what it may read, ``guards`` that it is as it was, ``held`` what that was, and ``places`` where it
may change; ``capture``: one call, traced and judged) -> ``trace`` (a call becomes a Graph;
``values``: what arrays stand for in it, ``storages``: what they look at, ``orders``: how they lie
in memory, ``living``: what outlives it; ``python_numbers``: what Python reads of tensors,
``counted``: what optimizers count in them; ``drawn``: its own random numbers, from ``generators``;
``lent``: what NumPy makes of their arrays; ``said``: what it prints; ``results``: what it returns)
-> ``passes`` (Graph to Graph) -> ``lower`` (``steps``, each kernel's ``body``, ``memory``, launch
order) -> ``backends``. ``staged`` cuts graphs on several devices, ``variant`` runs a program with a
call's memory, and ``live`` two of them where results are differentiated outside. ``pipeline`` is
the only place that knows the order of the passes. ``eager`` gives single operations programs of
their own, and ``eager_loops`` loops that serve arrays of any size.
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
