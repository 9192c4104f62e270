"""From a Python function to native code, in order of flow.

``front`` (what the user calls; ``surroundings``: what a function reaches, of which ``code`` says
what it may read, ``guards`` that it is as it was, ``held`` what that was, and ``places`` where it
may change; ``capture``: one call, traced and judged) -> ``trace`` (a call becomes a Graph;
``storages``: what arrays look at, ``orders``: how they lie in memory, ``living``: what outlives it;
``python_numbers``: what Python reads of tensors; ``drawn``: its own random numbers, from
``generators``; ``lent``: what NumPy makes of their arrays; ``said``: what it prints; ``results``:
what it returns) -> ``passes`` (Graph to Graph) -> ``lower`` (``steps``, each kernel's ``body``,
``memory``, launch order) -> ``backends``. ``staged`` cuts graphs on several devices, ``variant``
runs a program with a call's memory, and ``live`` two of them where results are differentiated
outside. ``pipeline`` is the only place that knows the order of the passes. ``eager`` gives single
operations programs of their own, and ``eager_loops`` loops that serve arrays of any size.
"""

from rushlight.compiler.explain import explain as explain
from rushlight.compiler.front import (
    allow_in_graph as allow_in_graph,
)
from rushlight.compiler.front import (
    assume_constant_result as assume_constant_result,
)
from rushlight.compiler.front import (
    compile as compile,
)
from rushlight.compiler.front import (
    cudagraph_mark_step_begin as cudagraph_mark_step_begin,
)
from rushlight.compiler.front import (
    disable as disable,
)
from rushlight.compiler.front import (
    is_compiling as is_compiling,
)
from rushlight.compiler.front import (
    is_dynamo_compiling as is_dynamo_compiling,
)
from rushlight.compiler.front import (
    is_exporting as is_exporting,
)
from rushlight.compiler.front import (
    list_backends as list_backends,
)
from rushlight.compiler.front import (
    reset as reset,
)
from rushlight.compiler.front import (
    set_stance as set_stance,
)
