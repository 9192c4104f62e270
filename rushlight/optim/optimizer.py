"""Optimizer: parameter groups, the loop over them, state_dict. Each optimizer adds its update
rule.
"""

from __future__ import annotations

import contextlib
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any

import numpy as np
from numpy import ndarray

from rushlight import dtypes, tensor_api as T
from rushlight.core.sparse import SparseArray
from rushlight.core.state import enable_grad, modes, state as run_state
from rushlight.core.tensor import Tensor, bump, counted_once, kind_of, wrap
from rushlight.dtypes import FLOATS
from rushlight.errors import warn_user
from rushlight.optim import fused
from rushlight.optim.hooks import (
    HookedMixin,
    hooked,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

__all__ = [
    "Optimizer",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "required",
    "swap_in_optimizer_params_and_state",
]

FLOAT32, FLOAT64 = dtypes.by_name["float32"], dtypes.by_name["float64"]
Params = Iterable[Any]  # of tensors, of (name, tensor), or of dicts
ParamsT = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]


class _Required:
    """Stands for the default of an option that every group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()

# Note [Update rules]
# A subclass describes one parameter: `init_state(p, group)` makes its state before the first step,
# and `update(p, g, state, *, lr, ...)` changes p and state in place. The keyword-only parameters of
# `update` are read from the parameter's group at every step, so changing `group["lr"]` takes effect
# at once. `g` is p's gradient (negated if the group maximizes) and must not be written to. `step`
# counts are tensors of `count_dtype()`, as torch saves them; rules compute with `number(step)`,
# since 1 - 0.999**t needs more than float32.
#
# Rules are written with Python's operators, which tensors and NumPy arrays share. They get arrays,
# which saves half of the time on small parameters, unless the step is recorded or traced, or the
# numbers are complex or half precision: then they get tensors. `_on_arrays = False` always gets
# tensors.


class Optimizer(HookedMixin):
    """Base class: what to change, by which options, and with what memory.

    Subclasses write ``update`` (see Note [Update rules]) or their own ``step``.

    Args:
        params: tensors to update, (name, tensor) pairs, or dicts that each group tensors under
            "params" with options of their own.
        defaults: options of groups that do not give them.
    """

    state: defaultdict[Any, Any]
    param_groups: list[dict[str, Any]]
    _options: tuple[str, ...] = ()
    _on_arrays = True
    _usual: type = ndarray  # what holds the elements of most gradients
    _adds_up = False  # whether an update sums elements, which programs do in another order
    _step_is_tensor = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = hooked(cls.__dict__["step"])  # type: ignore[method-assign]
        if "update" in cls.__dict__:
            parameters = inspect.signature(cls.update).parameters.values()
            cls._options = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._make_hooks()
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            fix = "put it in a list" if isinstance(params, Tensor) else "pass net.parameters()"
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {type(params).__name__}; {fix}."
            )
        self.state = defaultdict(dict)
        self.param_groups = []
        groups = list(params)
        if not groups:
            raise ValueError(
                "optimizer got an empty parameter list: the module has no parameters, or the "
                "generator was used up before; call net.parameters() anew."
            )
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def init_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """The state of a parameter before its first update."""
        return {}

    def update(self, p: Tensor, g: Tensor, state: dict[str, Any]) -> None:
        """Changes ``p`` and ``state`` in place, given the gradient. See Note [Update rules]."""
        raise NotImplementedError(f"{type(self).__name__} defines neither update() nor step().")

    def update_sparse(self, p: Tensor, g: Tensor, state: dict[str, Any], **options: Any) -> None:
        """``update`` for a sparse gradient."""
        raise NotImplementedError(f"{type(self).__name__} does not define update_sparse().")

    def check_gradient(self, sparse: bool, group: dict[str, Any]) -> None:
        """Raises where an update cannot use such gradients. ``step`` asks before the first update
        about all that are not ``_usual``.
        """
        if sparse:
            raise RuntimeError(
                f"{type(self).__name__} does not support sparse gradients, please consider "
                "SparseAdam instead, or layers with sparse=False"
            )

    @hooked
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient.

        Args:
            closure: clears the gradients, computes the loss, calls ``backward`` and returns the
                loss.

        Returns:
            What ``closure`` returned.
        """
        differentiable = self.defaults.get("differentiable", False)
        loss, recorded = None, modes.grad
        modes.grad = differentiable
        try:
            if closure is not None:
                with enable_grad():
                    loss = closure()
            for group in self.param_groups:
                for p in group["params"]:
                    g = p._grad
                    if g is not None and g._array.__class__ is not self._usual:
                        self.check_gradient(g._array.__class__ is SparseArray, group)
            for group in self.param_groups:
                if differentiable or not fused.update(self, group):
                    self._update_params(group, group["params"], differentiable)
        finally:
            modes.grad = recorded
        return loss

    def _update_params(
        self, group: dict[str, Any], params: list[Tensor], differentiable: bool
    ) -> None:
        options = {name: group[name] for name in self._options}
        if not (differentiable or isinstance(options.get("lr", 0.0), float)):
            options["lr"] = number(options["lr"])
        maximize = group.get("maximize", False)
        plain = self._on_arrays and not differentiable and not run_state.busy
        states = self.state
        for p in params:
            g = p.grad
            if g is None:
                continue
            state = states.get(p)
            if not state:
                state = self.init_state(p, group)
            if differentiable:  # the graph of the last step holds what it had
                state = {name: value.clone() for name, value in state.items()}
            x, y = p._array, g._array
            if plain and x.dtype in FLOATS and type(x) is ndarray and type(y) is ndarray:
                self._update_array(p, -y if maximize else y, state, options)
            elif y.__class__ is SparseArray:
                self.update_sparse(p, -g if maximize else g, state, **options)
            elif p.is_complex():
                self._update_complex(p, -g if maximize else g, state, options)
            elif self._on_arrays and not differentiable:
                with counted_once([p, *state.values()]):
                    self.update(p, -g if maximize else g, state, **options)
            else:
                self.update(p, -g if maximize else g, state, **options)
            if state:
                states[p] = state

    def _update_array(
        self, p: Tensor, g: ndarray, state: dict[str, Any], options: dict[str, Any]
    ) -> None:
        arrays = {name: value._array for name, value in state.items()}
        self.update(p._array, g, arrays, **options)  # type: ignore[arg-type]
        bump(p)
        for value in state.values():
            bump(value)
        if len(arrays) > len(state):  # made by this update
            state.update({name: wrap(a) for name, a in arrays.items() if name not in state})

    def _update_complex(
        self, p: Tensor, g: Tensor, state: dict[str, Any], options: dict[str, Any]
    ) -> None:
        """Complex numbers are updated as pairs of real ones."""
        pairs = {
            name: T.view_as_real(value) if value.is_complex() else value
            for name, value in state.items()
        }
        self.update(T.view_as_real(p), T.view_as_real(g), pairs, **options)
        made = {name: value for name, value in pairs.items() if name not in state}
        state.update({name: T.view_as_complex(value) for name, value in made.items()})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of all parameters.

        Args:
            set_to_none: make them None; otherwise fill them with zeros.
        """
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None  # whatever it was: no program need depend on that
                elif p.grad is not None:
                    if p.grad.requires_grad:  # made with create_graph
                        p.grad.detach_()
                    p.grad.zero_()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds parameters, for example of layers that are unfrozen later.

        Args:
            param_group: dict of "params" and options that differ from the defaults.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        param_group["params"], names = _named(param_group["params"])
        if names:
            param_group["param_names"] = names
        for p in param_group["params"]:
            self._check_param(p)
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    f"parameter group didn't specify a value of required option {name}"
                )
            param_group.setdefault(name, default)
        self._check_new(param_group)
        self.param_groups.append(param_group)

    def _check_param(self, p: Any) -> None:
        if not isinstance(p, Tensor):
            raise TypeError(
                f"optimizer can only optimize Tensors, but one of the params is {kind_of(p)}"
            )
        if not (self.defaults.get("differentiable") or p.is_leaf or p.retains_grad):
            raise ValueError(
                "can't optimize a non-leaf Tensor: it is computed from others; pass those, or a "
                "detached copy."
            )

    def _check_new(self, group: dict[str, Any]) -> None:
        params = group["params"]
        if len(set(map(id, params))) < len(params):
            warn_user(
                "optimizer contains a parameter group with duplicate parameters; each is updated "
                "once per occurrence."
            )
        known = {id(p) for old in self.param_groups for p in old["params"]}
        if any(id(p) in known for p in params):
            raise ValueError("some parameters appear in more than one parameter group")
        if self.param_groups and ("param_names" in group) != (
            "param_names" in self.param_groups[0]
        ):
            what = "with" if "param_names" in group else "without"
            raise ValueError(
                "all optimizer param groups should be with/without names. cannot add param group "
                f"{what} names to the optimizer"
            )

    # ------------------------------------------------------------ saving

    def state_dict(self) -> dict[str, Any]:
        """State and options, parameters replaced by their number in the order of the groups."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        params = [p for group in self.param_groups for p in group["params"]]
        numbers = {id(p): i for i, p in reversed(list(enumerate(params)))}
        groups = [
            {
                **{name: value for name, value in group.items() if name != "params"},
                "params": [numbers[id(p)] for p in group["params"]],
            }
            for group in self.param_groups
        ]
        state = {
            numbers[id(key)] if isinstance(key, Tensor) else key: value
            for key, value in self.state.items()
        }
        result = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, result)
            result = result if changed is None else changed
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over state and options from ``state_dict()`` of an optimizer with groups of the
        same sizes.

        Args:
            state_dict: as returned by ``state_dict``, also torch's.
        """
        state_dict = dict(state_dict)
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        if "param_groups" not in state_dict:
            raise KeyError(
                "param_groups: state dicts of optimizers have this key, but here there are only "
                f"{', '.join([repr(key) for key in state_dict])}; is it a module's?"
            )
        saved = deepcopy(state_dict["param_groups"])
        self._check_groups(saved)
        numbers = [number for group in saved for number in group["params"]]
        params = [p for group in self.param_groups for p in group["params"]]
        by_number = dict(zip(numbers, params, strict=True))
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            p = by_number.get(key)
            state[key if p is None else p] = value if p is None else _like(p, value)
        for group, new in zip(self.param_groups, saved, strict=True):
            new["params"] = group["params"]
            if "param_names" in group:
                new.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": saved})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def _check_groups(self, saved: list[dict[str, Any]]) -> None:
        if len(saved) != len(self.param_groups):
            raise ValueError(
                "loaded state dict has a different number of parameter groups: "
                f"{len(saved)}, this optimizer has {len(self.param_groups)}"
            )
        sizes = [len(group["params"]) for group in saved]
        mine = [len(group["params"]) for group in self.param_groups]
        if sizes != mine:
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                f"optimizer's group: sizes {sizes}, this optimizer has {mine}"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_hooks()
        for group in self.param_groups:
            for name, default in self._later_options().items():
                group.setdefault(name, default)
        for values in self.state.values() if self._step_is_tensor else ():  # older files: a number
            if isinstance(values, dict) and isinstance(values.get("step"), int | float):
                values["step"] = T.tensor(float(values["step"]), dtype=count_dtype())

    def _later_options(self) -> dict[str, Any]:
        """Options that older saved optimizers lack, with the values they stood for."""
        off = {"foreach": None, "fused": None}
        names = ("amsgrad", "maximize", "capturable", "differentiable", "nesterov", "centered")
        off.update(dict.fromkeys(names, False))
        defaults = self.__dict__.get("defaults", {})
        return {name: value for name, value in off.items() if name in defaults}

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
            lines.append("")
        return "\n".join(lines[:-1]) + "\n)"


def _named(params: Any) -> tuple[list[Any], list[str]]:
    """Parameters of a group as a list, and their names if it has them."""
    if isinstance(params, Tensor):
        return [params], []
    if isinstance(params, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the order of "
            "a set changes between runs; use a list instead."
        )
    items = list(params)
    pairs = [item for item in items if isinstance(item, tuple)]
    if pairs and len(pairs) < len(items):
        raise ValueError(
            "all optimizer params should be with/without names. Some param names are missing"
        )
    return ([p for _, p in pairs], [name for name, _ in pairs]) if pairs else (items, [])


def _like(p: Tensor, value: Any, name: str = "") -> Any:
    """State as it belongs to ``p``: its dtype and device, except for step counts."""
    if isinstance(value, Tensor):
        if name == "step":
            return value
        if p.is_floating_point():
            return value.to(dtype=p.dtype, device=p.device)
        return value.to(device=p.device)
    if isinstance(value, dict):
        return {key: _like(p, item, key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_like(p, item) for item in value)
    return value


@contextlib.contextmanager
def swap_in_optimizer_params_and_state(
    optimizer: Optimizer,
    swapin_parameters: dict[str, Tensor],
    swapin_optim_state: dict[str, Any],
) -> Iterator[None]:
    """Lets ``optimizer`` work on other parameters and state; afterwards it has its own again.

    Args:
        optimizer: whose ``step`` and hooks see the other parameters within the ``with``.
        swapin_parameters: by name, in the order of the optimizer's own.
        swapin_optim_state: as ``optimizer.state_dict()``.
    """
    own = optimizer.state, optimizer.param_groups
    saved = swapin_optim_state["param_groups"]
    numbers = [number for group in saved for number in group["params"]]
    params = dict(zip(numbers, swapin_parameters.values(), strict=True))
    optimizer.state = defaultdict(dict)
    for key, value in swapin_optim_state["state"].items():
        optimizer.state[params.get(key, key)] = dict(value)
    optimizer.param_groups = [
        {**group, "params": [params[number] for number in group["params"]]} for group in saved
    ]
    try:
        yield
    finally:
        optimizer.state, optimizer.param_groups = own


def number(t: Any) -> float:
    """A number in a tensor or array, as a Python number."""
    if run_state.busy and modes.trace is not None and isinstance(t, Tensor):
        return modes.trace.number(t)  # type: ignore[no-any-return]
    return t if isinstance(t, int | float) else t.item()


def maximum(x: Any, y: Any) -> Any:
    """The larger of two tensors or arrays, element by element."""
    if isinstance(x, Tensor):
        x = x.clone() if y.requires_grad else x  # a state, which is about to be written
        return T.maximum(x, y)
    return np.maximum(x, y)


def copied(x: Any) -> Any:
    """A copy of a tensor (without its history) or array."""
    return x.detach().clone() if isinstance(x, Tensor) else np.array(x)  # may be a NumPy number


def counter(group: dict[str, Any]) -> Tensor:
    """A step count of 0, as torch saves it."""
    return T.zeros((), dtype=FLOAT32 if group.get("fused") else count_dtype())


def count_dtype() -> Any:
    """That of step counts, and of what is computed from them alone."""
    return FLOAT64 if dtypes.get_default_dtype() is FLOAT64 else FLOAT32
