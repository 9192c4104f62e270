"""``torch.func``: functions that transform functions.

levels: which inputs are being differentiated; trees: nested containers of tensors; reverse: grad,
vjp, jacrev, hessian; forward: jvp, jacfwd, linearize; batching: vmap; together, rules: all samples
at once; modules: modules as functions; layout: rearrange.

Gradients of single samples:
    >>> import rushlight as torch
    >>> from rushlight.func import grad, vmap
    >>> loss = lambda w, x: (w * x).sum() ** 2
    >>> vmap(grad(loss), in_dims=(None, 0))(torch.ones(2), torch.tensor([[1.0, 0.0], [1.0, 2.0]]))
    tensor([[ 2.,  0.],
            [ 6., 12.]])
"""

from rushlight.func.batching import vmap
from rushlight.func.forward import jacfwd, jvp, linearize
from rushlight.func.layout import rearrange
from rushlight.func.modules import (
    debug_unwrap,
    functional_call,
    functionalize,
    replace_all_batch_norm_modules_,
    stack_module_state,
)
from rushlight.func.reverse import grad, grad_and_value, hessian, jacrev, vjp

__all__ = [
    "debug_unwrap",
    "functional_call",
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "rearrange",
    "replace_all_batch_norm_modules_",
    "stack_module_state",
    "vjp",
    "vmap",
]
