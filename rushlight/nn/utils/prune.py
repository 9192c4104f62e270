"""Pruning: a parameter multiplied by a mask of zeros and ones before each forward.

A pruned parameter ``weight`` lives on as the parameter ``weight_orig`` and the buffer
``weight_mask``; ``weight`` itself is their product, an ordinary attribute. `remove` makes it a
parameter again, with its zeros. Pruning twice combines the masks.

A method says how it chooses by `PRUNING_TYPE`: among all entries ("unstructured"), among whole
slices along one dim ("structured"), or with no regard for earlier pruning ("global").
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter
from rushlight.nn.utils.convert_parameters import parameters_to_vector


class BasePruningMethod(ABC):
    """A way to choose what is pruned; also the hook that multiplies by the mask before forward."""

    PRUNING_TYPE: str
    _tensor_name: str

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask for importance scores ``t``, zero also where ``default_mask`` is."""

    def apply_mask(self, module: Module) -> Tensor:
        """The original parameter times its mask."""
        name = self._tensor_name
        original = getattr(module, name + "_orig")
        mask: Tensor = getattr(module, name + "_mask")
        return mask.to(dtype=original.dtype) * original

    @classmethod
    def apply(
        cls,
        module: Module,
        name: str,
        *args: Any,
        importance_scores: Tensor | None = None,
        **kwargs: Any,
    ) -> BasePruningMethod:
        """Prune ``module.name`` by this method with ``args``; returns the hook that is in place.

        Args:
            module: whose parameter.
            name: the parameter's name.
            args: of the method.
            importance_scores: what it chooses by, of the parameter's shape; default: the parameter.
            kwargs: of the method.
        """
        method = cls(*args, **kwargs)
        method._tensor_name = name
        earlier = _remove_hook(module, name)
        value = getattr(module, name)
        if importance_scores is None:
            importance_scores = value
        elif importance_scores.shape != value.shape:
            raise AssertionError(
                "importance_scores should have the same shape as parameter "
                f"{name} of {module}: {tuple(importance_scores.shape)} is not {tuple(value.shape)}"
            )
        hook: BasePruningMethod = method
        if earlier is None:
            mask = method.compute_mask(importance_scores, T.ones_like(value))
            module.register_parameter(name + "_orig", module._parameters.pop(name))
        else:
            before = getattr(module, name + "_mask").detach().clone()
            hook = earlier if isinstance(earlier, PruningContainer) else PruningContainer(earlier)
            hook.add_pruning_method(method)  # type: ignore[attr-defined]
            mask = hook.compute_mask(importance_scores, before)
        module.register_buffer(name + "_mask", mask)
        setattr(module, name, hook.apply_mask(module))
        module.register_forward_pre_hook(hook)
        return hook

    def prune(
        self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None
    ) -> Tensor:
        """``t`` with this method's zeros, without a module."""
        mask = T.ones_like(t) if default_mask is None else default_mask
        scores = t if importance_scores is None else importance_scores
        if scores.shape != t.shape:
            raise AssertionError("importance_scores should have the same shape as tensor t")
        return t * self.compute_mask(scores, mask)

    def remove(self, module: Module) -> None:
        """Make the parameter an ordinary one again; its zeros stay."""
        name = self._tensor_name
        value = self.apply_mask(module)
        delattr(module, name)
        original = module._parameters.pop(name + "_orig")
        assert isinstance(original, Parameter)
        original.data = value.data
        del module._buffers[name + "_mask"]
        setattr(module, name, original)


def _remove_hook(module: Module, name: str) -> BasePruningMethod | None:
    """Takes the pruning of ``module.name`` off the module's hooks."""
    for key, hook in list(module._forward_pre_hooks.items()):
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            del module._forward_pre_hooks[key]
            return hook
    return None


class PruningContainer(BasePruningMethod):
    """Several methods of one parameter, applied one after the other."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, *args: Any) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        if len(args) == 1 and not isinstance(args[0], Iterable):
            self._tensor_name = args[0]._tensor_name
            self.add_pruning_method(args[0])
        else:
            methods = args[0] if len(args) == 1 else args
            for method in methods:
                self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod | None) -> None:
        """Add a method for the same parameter."""
        if method is None:
            return
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        own = getattr(self, "_tensor_name", method._tensor_name)
        if own != method._tensor_name:
            raise ValueError(
                "Can only add pruning methods acting on the parameter named "
                f"'{own}' to PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Any:
        return iter(self._pruning_methods)

    def __getitem__(self, index: Any) -> Any:
        return self._pruning_methods[index]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The last method's mask for what the earlier ones left."""
        method = self._pruning_methods[-1]
        mask = default_mask.to(dtype=t.dtype).clone()
        kind = method.PRUNING_TYPE
        if kind == "unstructured":
            left: Any = mask == 1
        elif kind == "structured":
            dim = method.dim % t.dim()  # type: ignore[attr-defined]
            others = [d for d in range(t.dim()) if d != dim]
            left = (slice(None),) * dim + (mask.sum(others) != 0,)
        elif kind == "global":
            left = slice(None)
        else:
            raise ValueError(f"Unrecognized PRUNING_TYPE {kind}")
        mask[left] = method.compute_mask(t[left], mask[left]).to(mask.dtype)
        return mask


class Identity(BasePruningMethod):
    """Prunes nothing; the parameter gets a mask of ones."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask


class CustomFromMask(BasePruningMethod):
    """Prunes where a given mask is zero."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask * self.mask.to(dtype=default_mask.dtype)


class _Unstructured(BasePruningMethod, ABC):
    """Prunes single entries: an amount of them, or a share when it is a float in [0, 1]."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount: float) -> None:
        check_amount(amount)
        self.amount = amount

    @abstractmethod
    def chosen(self, t: Tensor, count: int) -> Tensor:
        """Flat indices of the ``count`` entries to prune."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        count = how_many(self.amount, t.numel())
        mask = default_mask.clone()
        if count:
            mask.view(-1)[self.chosen(t, count)] = 0
        return mask


class RandomUnstructured(_Unstructured):
    """Prunes entries at random."""

    def chosen(self, t: Tensor, count: int) -> Tensor:
        indices: Tensor = T.topk(T.rand_like(t).view(-1), k=count).indices
        return indices


class L1Unstructured(_Unstructured):
    """Prunes the entries of least absolute value."""

    @classmethod
    def apply(  # type: ignore[override]
        cls, module: Module, name: str, amount: float, importance_scores: Tensor | None = None
    ) -> BasePruningMethod:
        """Prune ``amount`` of ``module.name``, by ``importance_scores`` where given."""
        return super().apply(module, name, amount, importance_scores=importance_scores)

    def chosen(self, t: Tensor, count: int) -> Tensor:
        indices: Tensor = T.topk(t.abs().view(-1), k=count, largest=False).indices
        return indices


class _Structured(BasePruningMethod, ABC):
    """Prunes whole slices along ``dim``: an amount of them, or a share."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        check_amount(amount)
        self.amount, self.dim = amount, dim

    @abstractmethod
    def kept(self, t: Tensor, count: int) -> Tensor:
        """Whether each slice stays when ``count`` are pruned, shape (slices,)."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if t.dim() <= 1:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. Found tensor "
                f"of shape {t.shape} with {t.dim()} dims"
            )
        count = how_many(self.amount, t.shape[self.dim])
        if not count:
            return default_mask
        shape = [1] * t.dim()
        shape[self.dim] = -1
        return default_mask * self.kept(t, count).view(shape).to(default_mask.dtype)


class RandomStructured(_Structured):
    """Prunes slices at random."""

    def kept(self, t: Tensor, count: int) -> Tensor:
        chances = T.rand(t.shape[self.dim], device=t.device)
        kept: Tensor = chances > T.kthvalue(chances, k=count).values
        return kept


class LnStructured(_Structured):
    """Prunes the slices of least L``n`` norm."""

    @classmethod
    def apply(  # type: ignore[override]
        cls,
        module: Module,
        name: str,
        amount: float,
        n: Any,
        dim: int,
        importance_scores: Tensor | None = None,
    ) -> BasePruningMethod:
        """Prune ``amount`` slices of ``module.name``, by ``importance_scores`` where given."""
        return super().apply(module, name, amount, n, dim, importance_scores=importance_scores)

    def __init__(self, amount: float, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def kept(self, t: Tensor, count: int) -> Tensor:
        others = [d for d in range(t.dim()) if d != self.dim % t.dim()]
        norms = T.norm(t, p=self.n, dim=others)
        best = T.topk(norms, k=norms.numel() - count).indices
        kept = T.zeros(norms.numel(), device=norms.device)
        kept[best] = 1
        return kept


def check_amount(amount: Any) -> None:
    """Raises unless ``amount`` is an int >= 0 or a float in [0, 1]."""
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    count = isinstance(amount, numbers.Integral)
    if amount < 0 or (not count and amount > 1.0):
        raise ValueError(
            f"amount={amount} should either be a float in the range [0.0, 1.0] or a non-negative "
            "integer"
        )


def how_many(amount: float, size: int) -> int:
    """An amount as a number of entries out of ``size``."""
    if not isinstance(amount, numbers.Integral):
        return round(amount * size)
    if amount > size:
        raise ValueError(
            f"amount={amount} should be smaller than the number of parameters to prune={size}"
        )
    return int(amount)


def identity(module: Module, name: str) -> Module:
    """Give ``module.name`` a mask of ones.

    Args:
        module: whose parameter.
        name: the parameter's name.
    """
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: float) -> Module:
    """Prune entries of ``module.name`` at random.

    Args:
        module: whose parameter.
        name: the parameter's name.
        amount: an int, so many entries; a float in [0, 1], that share of them.

    Example:
        >>> layer = nn.Linear(4, 2)
        >>> _ = nn.utils.prune.random_unstructured(layer, "weight", amount=3)
        >>> (layer.weight_mask == 0).sum()
        tensor(3)
    """
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: Module, name: str, amount: float, importance_scores: Tensor | None = None
) -> Module:
    """Prune the entries of ``module.name`` of least absolute value.

    Args:
        module: whose parameter.
        name: the parameter's name.
        amount: an int, so many entries; a float in [0, 1], that share of them.
        importance_scores: what is compared instead of the parameter, of its shape.

    Example:
        >>> import rushlight as torch
        >>> from rushlight.nn.utils import prune
        >>> m = torch.nn.Linear(4, 1)
        >>> m.weight.data = torch.tensor([[0.3, -0.1, 0.2, -0.4]])
        >>> prune.l1_unstructured(m, "weight", amount=0.5).weight_mask
        tensor([[1., 0., 0., 1.]])
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: float, dim: int) -> Module:
    """Prune slices of ``module.name`` at random.

    Args:
        module: whose parameter.
        name: the parameter's name.
        amount: an int, so many slices; a float in [0, 1], that share of them.
        dim: along which slices are counted.
    """
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Module,
    name: str,
    amount: float,
    n: Any,
    dim: int,
    importance_scores: Tensor | None = None,
) -> Module:
    """Prune the slices of ``module.name`` of least norm.

    Args:
        module: whose parameter.
        name: the parameter's name.
        amount: an int, so many slices; a float in [0, 1], that share of them.
        n: order of the norm, as of ``torch.norm``.
        dim: along which slices are counted.
        importance_scores: what is measured instead of the parameter, of its shape.

    Example:
        >>> layer = nn.Linear(4, 2)
        >>> _ = nn.utils.prune.ln_structured(layer, "weight", amount=1, n=2, dim=0)
        >>> layer.weight_mask.sum()
        tensor(4.)
    """
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prune ``module.name`` where ``mask`` is zero.

    Args:
        module: whose parameter.
        name: the parameter's name.
        mask: zeros and ones, of the parameter's shape.
    """
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: Any,
    importance_scores: dict[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prune entries of several parameters as if they were one.

    Args:
        parameters: pairs of a module and a parameter's name.
        pruning_method: a class whose ``PRUNING_TYPE`` is "unstructured".
        importance_scores: for some pairs, what is compared instead of the parameter.
        kwargs: of the method, such as ``amount``.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    pairs = list(parameters)
    given = {} if importance_scores is None else importance_scores
    if not isinstance(given, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    scores = parameters_to_vector([given.get((m, n), getattr(m, n)) for m, n in pairs])
    masks = [getattr(m, n + "_mask", T.ones_like(getattr(m, n))) for m, n in pairs]
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method '
            f"{pruning_method} of type {method.PRUNING_TYPE}"
        )
    method._tensor_name = "temp"
    final = PruningContainer(method).compute_mask(scores, parameters_to_vector(masks))
    for (module, name), mask in zip(pairs, final.split([m.numel() for m in masks]), strict=True):
        custom_from_mask(module, name, mask=mask.view_as(getattr(module, name)))


def remove(module: Module, name: str) -> Module:
    """Make a pruned parameter an ordinary one; its zeros stay.

    Args:
        module: whose parameter.
        name: the parameter's name.

    Example:
        >>> layer = nn.Linear(4, 2)
        >>> _ = nn.utils.prune.random_unstructured(layer, "weight", amount=3)
        >>> _ = nn.utils.prune.remove(layer, "weight")
        >>> (layer.weight == 0).sum()
        tensor(3)
    """
    hook = _remove_hook(module, name)
    if hook is None:
        raise ValueError(
            f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
        )
    hook.remove(module)
    return module


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module, or of one inside it, is pruned.

    Example:
        >>> nn.utils.prune.is_pruned(nn.Linear(4, 2))
        False
    """
    return any(
        isinstance(hook, BasePruningMethod)
        for inner in module.modules()
        for hook in inner._forward_pre_hooks.values()
    )
