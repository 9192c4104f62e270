"""NumPy's argument names: ``axis`` for ``dim`` and ``keepdims`` for ``keepdim``, as in torch.

A function named below is replaced, here and on Tensor, by one with the same signature and those two
keyword arguments more. It is compiled from a line of text rather than written with ``**kwargs``,
because that would cost every call a dict. So are functions that are seldom called and take tensors
only, as what is compiled says what it expected where a NumPy array or a list is given.
"""

from __future__ import annotations

from functools import update_wrapper, wraps
from inspect import CO_VARARGS, CO_VARKEYWORDS
from types import FunctionType
from typing import Any

from rushlight import tensor_api
from rushlight.core.tensor import Tensor, explained

NAMES = """
    all amax amin aminmax any argmax argmin argsort cat chunk concat concatenate count_nonzero
    cummax cummin cumprod cumsum cumulative_trapezoid diff frobenius_norm gather gradient
    index_add index_copy index_fill index_select kthvalue log_softmax logcumsumexp logsumexp mean
    median mode nanmean nanmedian nanquantile nansum prod quantile repeat_interleave scatter
    scatter_add select softmax sort squeeze stack std std_mean sum take_along_dim tensor_split topk
    trapezoid trapz unbind unflatten unsafe_chunk unsqueeze var var_mean
    cumsum_ cumprod_ index_add_ index_copy_ index_fill_ scatter_ scatter_add_ squeeze_ unsqueeze_
""".split()  # noqa: SIM905

SELDOM = """
    adjoint argwhere cholesky_inverse combinations conj constant_pad_nd cross diag diag_embed
    diagflat diagonal diagonal_scatter dsplit fill flip fliplr flipud get_device hsplit imag inner
    is_same_size is_signed kron lerp logdet matrix_power moveaxis movedim msort nonzero pca_lowrank
    ravel real resize_as_ roll rot90 select_scatter slice_scatter split_with_sizes spmm swapaxes
    swapdims tensordot tile triangular_solve tril triu unravel_index unsafe_split
    unsafe_split_with_sizes vander vsplit zero_
""".split()  # noqa: SIM905

# functions, not methods, that look at their arguments before an op does
LOOKING = """
    as_strided as_strided_ as_strided_scatter atleast_1d atleast_2d atleast_3d bincount
    block_diag broadcast_tensors broadcast_to bucketize cartesian_prod cholesky cholesky_solve
    clone cov detach detach_ dsmm einsum fill_ flip gcd_ geqrf index_put index_put_ index_reduce
    is_complex is_floating_point is_nonzero istft lcm_ ldexp_ lu lu_solve lu_unpack masked_fill
    masked_scatter matrix_exp meshgrid nan_to_num_ narrow numel ormqr
    reshape resolve_conj resolve_neg scatter_reduce segment_reduce split stft t tile
    unsafe_chunk unsafe_split unsafe_split_with_sizes view_as_complex view_as_real
""".split()  # noqa: SIM905

OWNERS = (tensor_api, Tensor)
RENAMED = {"dim": "axis", "keepdim": "keepdims"}
MISSING: Any = object()

LINES = """def {name}({parameters}):
    {renames}
    try:
        return {function}({arguments})
    except AttributeError as error:
        raise _explained({function}, ({positional}), {{{named}}}, error) from None
"""


class Wider:
    """A function as the text of a wider one, and the names that the text uses."""

    def __init__(self, function: Any, at: int, other_names: dict[str, str]) -> None:
        code, defaults = function.__code__, function.__defaults__ or ()
        count, total = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
        positional, self.keyword = code.co_varnames[:count], code.co_varnames[count:total]
        several = code.co_flags & CO_VARARGS
        self.more = [f"*{code.co_varnames[total]}"] if several else []
        self.function, self.name, self.other_names = function, f"_{at}_", other_names
        self.positional = positional
        given = dict(zip(positional[count - len(defaults) :], defaults, strict=True))
        self.required = [n for n in positional if n not in given]
        given.update(function.__kwdefaults__ or {})
        self.names = {f"{self.name}{n}": given.get(n, MISSING) for n in code.co_varnames[:total]}
        self.names[self.name] = function

    def text(self) -> str:
        """The wider function, which is called ``name``, too."""
        other_names = self.other_names
        plain = [n for n in self.required if n not in other_names]
        first = [*[n not in plain for n in self.positional], True].index(True)
        parameters = [n if i < first else self._optional(n) for i, n in enumerate(self.positional)]
        renamed = [n for n in (*self.positional, *self.keyword) if n in other_names]
        named = [*map(self._optional, self.keyword)]
        named += [f"{other_names[n]}=_missing" for n in renamed]
        parameters += [*(self.more or ["*"]), *named] if named else self.more
        lines = [f"if {other_names[n]} is not _missing: {n} = {other_names[n]}" for n in renamed]
        for n in self.required[1:]:  # the function itself says what is missing
            known = ", ".join(self.positional[: self.positional.index(n)])
            lines.append(f"if {n} is _missing: return {self.name}({known})")
        return LINES.format(
            name=f"{self.name}wide",
            parameters=", ".join(parameters),
            renames="\n    ".join(lines),
            function=self.name,
            positional="".join([f"{n}, " for n in (*self.positional, *self.more)]),
            named=", ".join([f"'{n}': {n}" for n in self.keyword]),
            arguments=", ".join(
                [*self.positional, *self.more, *[f"{n}={n}" for n in self.keyword]]
            ),
        )

    def _optional(self, parameter: str) -> str:
        return f"{parameter}={self.name}{parameter}"


def with_axis(function: Any, other_names: dict[str, str] = RENAMED) -> Any:
    """A function of another namespace with the two keyword arguments more."""

    @wraps(function)
    def wider(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            for name, other in other_names.items():
                if other in kwargs:
                    kwargs[name] = kwargs.pop(other)
        try:
            return function(*args, **kwargs) if kwargs else function(*args)
        except AttributeError as error:
            raise explained(function, args, kwargs, error) from None

    return wider


def is_variadic(function: Any) -> bool:
    """Whether a function takes ``*args`` or ``**kwargs``."""
    return bool(function.__code__.co_flags & (CO_VARARGS | CO_VARKEYWORDS))


def fits(function: Any, name: str) -> bool:
    """Whether a function called ``name`` takes a ``dim`` if functions of this name do, and no
    ``**kwargs``, nor ``*args`` but after that.
    """
    if not isinstance(function, FunctionType):
        return False
    code = function.__code__
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if "dim" in parameters:
        return not code.co_flags & CO_VARKEYWORDS
    return name in SELDOM and not is_variadic(function)


def widened(functions: Any, other_names: dict[str, str]) -> dict[Any, Any]:
    """Functions that are not variadic, and what to put in their places."""
    wider = {f: Wider(f, at, other_names) for at, f in enumerate(functions)}
    space: dict[str, Any] = {"__name__": __name__, "_missing": MISSING, "_explained": explained}
    for w in wider.values():
        space.update(w.names)
    exec(compile("".join([w.text() for w in wider.values()]), __file__, "exec"), space)
    return {f: update_wrapper(space[f"{w.name}wide"], f) for f, w in wider.items()}


def explaining(namespace: dict[str, Any], names: list[str]) -> None:
    """Have functions of a namespace, which look at their arguments before an op does, say what they
    expected where these are no tensors. Methods and other modules keep the functions as they are.
    """
    functions = [namespace[name] for name in names]
    made = widened([f for f in functions if not is_variadic(f)], {})
    for name, f in zip(names, functions, strict=True):
        namespace[name] = own = made.get(f) or with_axis(f, {})
        own.__module__, own.__qualname__ = namespace["__name__"], name


def attach() -> None:
    """Replace the functions of ``tensor_api`` and the methods of Tensor, often the same ones."""
    names = (*NAMES, *SELDOM)
    places = [(owner, name, vars(owner).get(name)) for name in names for owner in OWNERS]
    made = widened(dict.fromkeys([f for _, name, f in places if fits(f, name)]), RENAMED)
    for owner, name, function in places:
        if function in made:
            setattr(owner, name, made[function])
    explaining(vars(tensor_api), LOOKING)
