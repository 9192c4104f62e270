"""``__torch_function__``: what classes, objects and modes make of functions, as in torch."""

import copy
import inspect
import pickle
import warnings

import pytest
import torch

import rushlight
from rushlight import _C, overrides
from rushlight.core.overrides import switch
from rushlight.core.state import state

LIBRARIES = [rushlight, torch]


def both(function):
    """What the function returns for each of the two libraries."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [function(lib, lib.nn.functional) for lib in LIBRARIES]


def kinds(*values):
    return [type(v).__name__ for v in values]


def plain(lib):
    return lib.arange(6.0).reshape(2, 3).as_subclass(type("Plain", (lib.Tensor,), {}))


EXPRESSIONS = """
    x + 1; 1 + x; p + x; x + p; x - 2; 2 - x; -x; abs(x); x * 2; 2 * x; x / 2; 2 / x; x // 2; x % 2
    x ** 2; 2 ** x; x @ p.T; p @ x.T; x == 1; x < 1; ~(x > 1); x[0]; x[0, 1]; x[x > 1]
    p[x.long() % 2]
    x.T; x.shape; x.dtype; x.size(); x.grad; x.data; x.detach(); x.clone(); x.numpy(); x.tolist()
    x.sum(); x.max(1); x.max(1)[0]; x.split(1)[1]; list(x)[0]; x.unbind()[0]; x.topk(2).indices
    x.new_zeros(2); p.new_zeros(2); x.to(t.float64); x.int(); x.view(-1); x.requires_grad_()
    x.add_(1); p.add_(x); x.copy_(p); p.copy_(x); x.unique(); x.sum().item(); float(x[0, 0])
    repr(x); 2.0 in x; len(x); x.stride(); x.is_leaf; x.device.type; hash(x) and 1
    t.add(x, 1); t.cat([x, p]); t.stack((p, x)); t.where(x > 1, x, p); t.einsum("ij->i", x)
    t.einsum("ij->i", [x])
    t.zeros_like(x); t.zeros(2); t.max(x, 1).values; t.numel(x); t.equal(x, p); t.is_tensor(x)
    t.linalg.norm(x); t.fft.fft(x); t.special.erf(x); t.add(p, 1, out=t.empty(2, 3).as_subclass(P))
    F.relu(x); F.softmax(x, -1); F.linear(p, x); F.layer_norm(x, (3,)); F.dropout(x, 0.5)
    F.cross_entropy(x, t.tensor([0, 1])); t.nn.Linear(3, 2)(x); t.nn.BatchNorm1d(3)(x)
    t.nn.Linear(3, 2).weight * 1; t.utils.data.default_collate([x, x]); t.nn.init.zeros_(x)
"""


@pytest.mark.parametrize(
    "text", [e.strip() for e in EXPRESSIONS.replace("\n", ";").split(";") if e.strip()]
)
def test_results_are_of_the_class(text):
    def run(lib, F):
        x = plain(lib)
        names = {"x": x, "p": lib.ones(2, 3), "t": lib, "F": F, "P": type(x)}
        result = eval(text, names)
        inner = kinds(*result) if isinstance(result, (tuple, list)) else []
        return type(result).__name__, inner

    ours, theirs = both(run)
    assert ours == theirs


def logging_class(lib, log):
    class Logging(lib.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            log.append((func.__name__, kinds(*args)))
            return super().__torch_function__(func, types, args, kwargs or {})

    return Logging


CALLS = """
    x + 1; 1 + x; p + x; x - 1; -x; x.neg(); abs(x); x * 2; 2 * x; x / 2; x @ p.T; x % 2; x == 1
    x < 1; x[0]; x.shape; x.size(); x.T; x.add_(1); x.clone(); len(x); x.numel(); p.copy_(x)
    t.add(x, 1); t.cat([x, p]); F.relu(x); t.relu(x); x.relu(); F.linear(p, x); t.stack((p, x))
    t.Tensor.add(x, 1); 2 - x; 2 ** x; x // 2; float(x[0, 0]); x.to(t.float64); x.__iadd__(1)
"""


@pytest.mark.parametrize(
    "text", [e.strip() for e in CALLS.replace("\n", ";").split(";") if e.strip()]
)
def test_handlers_are_shown_the_function_that_torch_shows(text):
    def run(lib, F):
        log = []
        x = lib.arange(6.0).reshape(2, 3).as_subclass(logging_class(lib, log))
        eval(text, {"x": x, "p": lib.ones(2, 3), "t": lib, "F": F})
        return log

    ours, theirs = both(run)
    assert ours == theirs


def test_data_of_ones_own_travels_with_the_tensor():
    def run(lib, F):
        class Meta(lib.Tensor):
            @staticmethod
            def __new__(cls, x, meta=None):
                return super().__new__(cls, x)

            def __init__(self, x, meta=None):
                self.meta = meta

            @classmethod
            def __torch_function__(cls, func, types, args=(), kwargs=None):
                result = super().__torch_function__(func, types, args, kwargs or {})
                if isinstance(result, cls):
                    result.meta = next(a.meta for a in args if isinstance(a, cls))
                return result

            def clone(self, *args):
                result = super().clone(*args)  # a method of the class's own may call Tensor's
                result.cloned = True
                return result

        m = Meta(lib.ones(2), "unit")
        results = (m + 1, lib.exp(m), m.mean(), 2 * m, F.softmax(m, 0), m.clone(), m.add_(1))
        return [(type(r).__name__, r.meta) for r in results], m.clone().cloned

    ours, theirs = both(run)
    assert ours == theirs


def test_gradients_pass_through_and_rules_do_not_ask():
    def run(lib, F):
        log = []
        x = lib.arange(3.0).as_subclass(logging_class(lib, log))
        w = lib.ones(3, requires_grad=True)
        y = (x * w).sin().sum()
        log.clear()
        y.backward()
        return log, kinds(w.grad, y), [round(g, 5) for g in w.grad.tolist()]

    ours, theirs = both(run)
    ours[0][0] = ("backward", ours[0][0][1][:1])
    theirs[0][0] = ("backward", theirs[0][0][1][:1])
    assert ours == theirs


def units(lib, F):
    handled = {}

    class Unit:
        def __init__(self, value):
            self.value = value

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func not in handled:
                return NotImplemented
            return handled[func](*args, **(kwargs or {}))

    handled[lib.add] = handled[lib.Tensor.add] = lambda a, b: "added"
    handled[lib.mean] = lambda a: "mean"
    handled[lib.cat] = lambda parts, dim=0: ("cat", len(parts), dim)
    handled[F.relu] = lambda a, inplace=False: "relu"
    return Unit, handled


def test_objects_that_are_no_tensors():
    def run(lib, F):
        Unit, handled = units(lib, F)
        u, t = Unit(1), lib.ones(1)
        own = lib.overrides.wrap_torch_function(lambda a: (a,))(lambda a: "plain")
        handled[own] = lambda a: "handled"
        with pytest.raises(TypeError):
            lib.sub(u, u)
        asked = [lib.overrides.has_torch_function((a,)) for a in (u, t, 1, lib.nn.Parameter(t))]
        return (lib.add(u, t), lib.add(t, u), t + u, lib.mean(u), lib.cat([t, u], dim=1),
                F.relu(u), own(u), own(t), asked)  # fmt: skip

    switch.on()  # torch asks always
    try:
        ours, theirs = both(run)
    finally:
        switch.off()
    assert ours == theirs


def mode_of(lib):
    class Log(lib.overrides.TorchFunctionMode):
        def __init__(self):
            super().__init__()
            self.log = []

        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.log.append(lib.overrides.resolve_name(func))
            return func(*args, **(kwargs or {}))

    return Log


def test_modes_see_every_call():
    def run(lib, F):
        Log = mode_of(lib)
        with Log() as outer, Log() as inner:
            a = lib.zeros(2)
            a = a + 1
            a.mul_(2)
            lib.exp(a)
            F.relu(a), lib.relu(a), lib.nn.ReLU()(a)
            _ = a.shape, a[0], a.requires_grad
            a[0] = 1.0
            lib.linalg.norm(a)
            lib.tensor([1.0])
        lib.ones(2) + 1
        return [n for n in inner.log if n], len(outer.log) - len(inner.log)

    ours, theirs = both(run)
    assert ours == theirs


def test_functions_have_their_own_code_outside_of_modes():
    if switch.table is None:
        with mode_of(rushlight)():
            rushlight.ones(1)
    before, state_before = rushlight.add.__code__, state.asking
    signature = inspect.signature(rushlight.full)
    with mode_of(rushlight)():
        assert state.asking == state_before + 1
    assert rushlight.add.__code__ is before
    assert inspect.signature(rushlight.full) == signature


def test_frames_of_asking_functions_can_be_looked_at():
    class Look(overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            frame = inspect.currentframe()
            while frame:
                seen.append(set(frame.f_locals))
                frame = frame.f_back

    seen = []
    with Look():
        rushlight.ones(1)
        rushlight.Tensor.exp(1.0)  # a closure
    assert sum({"args", "kwargs", "ask"} <= names for names in seen) >= 2


def test_a_mode_may_call_another_function():
    def run(lib, F):
        class Redirect(lib.overrides.TorchFunctionMode):
            def __torch_function__(self, func, types, args=(), kwargs=None):
                func = lib.mul if func is lib.add else func
                return func(*args, **(kwargs or {}))

        with Redirect():
            return lib.add(lib.tensor(3.0), lib.tensor(4.0)).item()

    ours, theirs = both(run)
    assert ours == theirs == 12.0


def test_a_mode_needs_its_method():
    with pytest.raises(NotImplementedError), overrides.TorchFunctionMode():
        rushlight.ones(1)
    assert not _C._is_torch_function_mode_enabled()


def test_disabling():
    def run(lib, F):
        x = plain(lib)
        C = _C if lib is rushlight else torch._C
        none = type("None_", (lib.Tensor,), {"__torch_function__": C._disabled_torch_function_impl})
        d = lib.ones(2).as_subclass(none)
        with C.DisableTorchFunctionSubclass():
            inside = kinds(x + 1)
        with mode_of(lib)() as log, C.DisableTorchFunction():
            lib.ones(1)
        return inside, kinds(d, d + 1, d.clone(), d.add_(1)), log.log

    ours, theirs = both(run)
    assert ours == theirs


def test_classes_are_asked_before_their_bases():
    def run(lib, F):
        order = []

        class A(lib.Tensor):
            @classmethod
            def __torch_function__(cls, func, types, args=(), kwargs=None):
                order.append((cls.__name__, kinds(*args), [t.__name__ for t in types]))
                return NotImplemented

        class B(A):
            pass

        a, b = lib.ones(1).as_subclass(A), lib.ones(1).as_subclass(B)
        with pytest.raises(TypeError, match="NotImplemented"):
            lib.add(a, b)
        return order

    ours, theirs = both(run)
    assert ours == theirs


def test_making_instances():
    def run(lib, F):
        kind = type("Plain", (lib.Tensor,), {})
        made = lib.Tensor._make_subclass(kind, lib.ones(2), True)
        return kinds(made, made * 2, made.grad), made.requires_grad, made.is_leaf

    ours, theirs = both(run)
    assert ours == theirs


class Saved(rushlight.Tensor):
    pass


def test_copies_and_files():
    x = rushlight.ones(2).as_subclass(Saved)
    again = pickle.loads(pickle.dumps(x))
    assert type(again) is Saved and again.tolist() == [1.0, 1.0]
    assert type(copy.deepcopy(x.requires_grad_())) is Saved
    for function in (rushlight.Tensor.exp, rushlight.multiply, rushlight.celu):
        assert pickle.loads(pickle.dumps(function)) is function


def test_names_of_functions():
    def run(lib, F):
        functions = (lib.add, lib.Tensor.add, lib.multiply, F.relu, lib.relu, lib.linalg.norm,
                     lib.fft.fft, lib.Tensor.shape.__get__, len, lib.Tensor.exp_, lib.celu, F.celu,
                     lib.linalg.cond)  # fmt: skip
        resolve, method = lib.overrides.resolve_name, lib.overrides.is_tensor_method_or_property
        return [(resolve(f), method(f)) for f in functions]

    ours, theirs = both(run)
    assert ours == theirs


def test_what_can_be_overridden():
    found = overrides.get_overridable_functions()
    names = {overrides.resolve_name(f) for functions in found.values() for f in functions}
    homes = {
        "torch": rushlight,
        "torch.functional": rushlight,
        "torch.Tensor": rushlight.Tensor,
        "torch.linalg": rushlight.linalg,
        "torch.nn.functional": rushlight.nn.functional,
    }
    for functions in torch.overrides.get_overridable_functions().values():
        for public in filter(None, map(torch.overrides.resolve_name, functions)):
            home, _, last = public.rpartition(".")
            there = getattr(homes.get(home), last, None)
            if inspect.isfunction(there) and not last.startswith(("_", "sym_")):
                assert overrides.resolve_name(there), public
    assert "torch.Tensor.shape.__get__" in names
    assert not found.keys() & overrides.get_ignored_functions()
    assert overrides.get_testing_overrides()[rushlight.add](1, 2) == -1


@pytest.mark.parametrize("lib", LIBRARIES)
def test_subclasses_may_have_slots(lib):
    class Slotted(lib.Tensor):
        __slots__ = ("extra",)

    x = lib.ones(2, requires_grad=True)
    y = (x * 2).as_subclass(Slotted)
    y.extra = 3
    assert type(y) is Slotted and y.extra == 3
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    leaf = lib.Tensor._make_subclass(Slotted, lib.zeros(2), True)
    assert type(leaf) is Slotted and leaf.is_leaf and leaf.requires_grad


def test_signatures_stay_while_functions_ask():
    t = rushlight
    functions = t.add, t.nn.init.calculate_gain, t.nn.functional.relu, t.einsum, t.Tensor.add

    def seen():
        return [(str(inspect.signature(f)), hasattr(f, "__wrapped__")) for f in functions]

    before = seen()
    with overrides.BaseTorchFunctionMode():
        assert [s for s, _ in seen()] == [s for s, _ in before]
    assert seen() == before
