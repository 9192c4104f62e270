"""Module: registration, traversal, modes, parameters, names."""

import copy
import gc
import pickle
import weakref

import pytest
import torch

import rushlight as rl

# -- registration --------------------------------------------------------------------------------


def net_of(t, nn):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(3, 4)
            self.scale = nn.Parameter(t.ones(2))
            self.plain = t.zeros(2)
            self.register_buffer("count", t.zeros(1))
            self.register_buffer("scratch", t.zeros(1), persistent=False)
            self.register_parameter("nothing", None)
            self.register_buffer("nobody", None)
            self.inner = nn.Sequential(nn.Linear(4, 2), nn.ReLU())
            self.shared = self.first

        def forward(self, x):
            return self.inner(self.first(x)) * self.scale

    return Net()


def names(items):
    return [name for name, _ in items]


def test_what_is_registered(twin):
    def program(t, nn):
        net = net_of(t, nn)
        return {
            "parameters": names(net.named_parameters()),
            "all parameters": names(net.named_parameters(prefix="p", remove_duplicate=False)),
            "own": names(net.named_parameters(recurse=False)),
            "buffers": names(net.named_buffers()),
            "modules": names(net.named_modules()),
            "all modules": names(net.named_modules(prefix="x", remove_duplicate=False)),
            "children": names(net.named_children()),
            "state": dict(net.state_dict()),
            "state with variables": [type(v) for v in net.state_dict(keep_vars=True).values()],
            "repr": repr(net),
            "count": sum(p.numel() for p in net.parameters()),
            "tables": [list(net._parameters), list(net._buffers), list(net._modules)],
        }

    twin(program)


@pytest.mark.parametrize(
    "act",
    [
        lambda net, t, nn: net.register_parameter("first", nn.Parameter(t.ones(1))),
        lambda net, t, nn: net.register_parameter("a.b", nn.Parameter(t.ones(1))),
        lambda net, t, nn: net.register_parameter("", nn.Parameter(t.ones(1))),
        lambda net, t, nn: net.register_parameter(3, nn.Parameter(t.ones(1))),
        lambda net, t, nn: net.register_parameter("new", t.ones(1)),
        lambda net, t, nn: net.register_parameter("new", 3),
        lambda net, t, nn: net.register_buffer("first", t.ones(1)),
        lambda net, t, nn: net.register_buffer("new", 3),
        lambda net, t, nn: net.register_buffer("a.b", t.ones(1)),
        lambda net, t, nn: net.add_module("scale", nn.ReLU()),
        lambda net, t, nn: net.add_module("new", 3),
        lambda net, t, nn: net.add_module("forward", nn.ReLU()),
        lambda net, t, nn: setattr(net, "scale", t.ones(2)),
        lambda net, t, nn: setattr(net, "scale", 3.0),
        lambda net, t, nn: setattr(net, "first", t.ones(2)),
        lambda net, t, nn: setattr(net, "count", 3),
        lambda net, t, nn: net.get_submodule("inner.7"),
        lambda net, t, nn: net.get_submodule("scale"),
        lambda net, t, nn: net.get_parameter("plain"),
        lambda net, t, nn: net.get_buffer("scale"),
        lambda net, t, nn: net.missing,
        lambda net, t, nn: delattr(net, "missing"),
        lambda net, t, nn: net.train("yes"),
        lambda net, t, nn: net.to(t.int64),
        lambda net, t, nn: nn.Module()(3),
        lambda net, t, nn: nn.Module(3),
        lambda net, t, nn: nn.Module(a=3),
        lambda net, t, nn: net.load_state_dict([]),
        lambda net, t, nn: net.set_submodule("", nn.ReLU()),
        lambda net, t, nn: net.get_extra_state(),
        lambda net, t, nn: nn.Parameter(t.arange(3)),
    ],
)
def test_refused(twin, act):
    error = twin(lambda t, nn: act(net_of(t, nn), t, nn))
    assert isinstance(error, Exception)


def test_no_members_before_init(twin):
    def program(make):
        def run(t, nn):
            class Net(nn.Module):
                def __init__(self):
                    self.member = make(t, nn)

            return Net()

        return run

    for make in (
        lambda t, nn: nn.Linear(1, 1),
        lambda t, nn: nn.Parameter(t.ones(1)),
        lambda t, nn: nn.Buffer(t.ones(1)),
    ):
        error = twin(program(make))
        assert "before Module.__init__() call" in str(error)


@pytest.mark.parametrize(
    "act",
    [
        lambda net, t, nn: setattr(net, "scale", nn.Parameter(t.zeros(3))),
        lambda net, t, nn: setattr(net, "scale", None),
        lambda net, t, nn: setattr(net, "plain", nn.Parameter(t.zeros(3))),
        lambda net, t, nn: setattr(net, "count", nn.Parameter(t.zeros(3))),
        lambda net, t, nn: setattr(net, "count", t.ones(4)),
        lambda net, t, nn: setattr(net, "count", None),
        lambda net, t, nn: setattr(net, "first", nn.ReLU()),
        lambda net, t, nn: setattr(net, "first", None),
        lambda net, t, nn: setattr(net, "first", nn.Parameter(t.zeros(3))),
        lambda net, t, nn: setattr(net, "scale", nn.ReLU()),
        lambda net, t, nn: setattr(net, "new", nn.Buffer(t.ones(2))),
        lambda net, t, nn: setattr(net, "new", nn.Buffer(t.ones(2), persistent=False)),
        lambda net, t, nn: setattr(net, "scratch", nn.Buffer(t.ones(2))),
        lambda net, t, nn: delattr(net, "scale"),
        lambda net, t, nn: delattr(net, "scratch"),
        lambda net, t, nn: delattr(net, "inner"),
        lambda net, t, nn: delattr(net, "plain"),
        lambda net, t, nn: net._parameters.pop("scale"),
        lambda net, t, nn: net._parameters.__setitem__("scale", nn.Parameter(t.zeros(5))),
        lambda net, t, nn: net._modules.__delitem__("inner"),
        lambda net, t, nn: net._modules.update(more=nn.Tanh()),
        lambda net, t, nn: net._modules.clear(),
        lambda net, t, nn: net._buffers.setdefault("extra", t.ones(1)),
        lambda net, t, nn: net.set_submodule("inner.0", nn.Linear(4, 7)),
        lambda net, t, nn: net.register_module("more", nn.ReLU()),
    ],
)
def test_changing_members(twin, act):
    """After any change the tables, the attributes, the state and the printed form agree with
    torch's."""

    def program(t, nn):
        net = net_of(t, nn)
        act(net, t, nn)
        found = {}
        for name in (
            "first",
            "scale",
            "plain",
            "count",
            "scratch",
            "inner",
            "new",
            "more",
            "extra",
        ):
            value = getattr(net, name, "absent")
            found[name] = value if not isinstance(value, t.Tensor) else (value, type(value))
        return {
            "tables": [list(net._parameters), list(net._buffers), list(net._modules)],
            "found": found,
            "state": dict(net.state_dict()),
            "repr": repr(net),
        }

    twin(program)


def test_attributes_mirror_the_tables():
    """Reading a member is a plain attribute read, whatever changed the table."""
    layer = rl.nn.Linear(2, 2)
    assert layer.__dict__["weight"] is layer._parameters["weight"]
    layer._parameters["weight"] = other = rl.nn.Parameter(rl.ones(2, 2))
    assert layer.weight is other
    assert layer._parameters.popitem()[0] == "bias"
    assert not hasattr(layer, "bias")
    layer._parameters |= {"bias": None}
    assert layer.bias is None
    assert layer._parameters.copy() == dict(layer._parameters)
    layer._parameters = {"weight": layer.weight}  # a plain dict is taken over at the next change
    layer.weight = new = rl.nn.Parameter(rl.zeros(2, 2))
    assert layer._parameters["weight"] is new


def test_modules_are_freed_at_once():
    """No cycle keeps a module, and so its parameters, until the garbage collector runs."""
    gc.disable()
    try:
        net = rl.nn.Sequential(rl.nn.Linear(2, 2), rl.nn.BatchNorm1d(2), rl.nn.LSTM(2, 2))
        dead = weakref.ref(net), weakref.ref(net[0].weight)
        del net
        assert [ref() for ref in dead] == [None, None]
    finally:
        gc.enable()


def test_a_subclass_may_forward_unknown_attributes(twin):
    def program(t, nn):
        class Wrapper(nn.Module):
            def __init__(self, inner):
                super().__init__()
                self.inner = inner

            def __getattr__(self, name):
                try:
                    return super().__getattr__(name)
                except AttributeError:
                    return getattr(self.inner, name)

        wrapper = Wrapper(nn.Linear(3, 5))
        return wrapper.out_features, wrapper.inner.in_features

    twin(program)


def test_a_subclass_may_change_what_its_members_are_read_as(twin):
    def program(t, nn):
        class Complex(nn.Module):
            def __getattr__(self, name):
                found = super().__getattr__(name)
                return t.view_as_complex(found) if t.is_tensor(found) else found

        class Scale(Complex):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(t.arange(6.0).reshape(3, 2))
                self.register_buffer("shift", t.ones(3, 2))
                self.inner = nn.Linear(2, 2)

        net, read = Scale(), []
        for _ in range(2):
            read += [net.weight, net.shift, net.inner.in_features, list(net.state_dict())]
            net.weight = nn.Parameter(net._parameters["weight"].detach() + 1)
            net = copy.deepcopy(net)
        net.weight.abs().sum().backward()
        return read, net._parameters["weight"].grad, "weight" in vars(net)

    twin(program)


def test_call_super_init(twin):
    def program(t, nn):
        class Mixin:
            def __init__(self, size):
                self.size = size

        class Net(nn.Module, Mixin):
            call_super_init = True

        return Net(5).size

    twin(program)


def test_dir(twin):
    def program(t, nn):
        public = dir(net_of(t, nn))
        return [n for n in ("first", "scale", "count", "forward", "state_dict") if n in public]

    twin(program)
    assert "0" not in dir(rl.nn.Sequential(rl.nn.ReLU()))


def test_get_by_dotted_name(twin):
    def program(t, nn):
        net = net_of(t, nn)
        return (
            net.get_submodule("inner.0"),
            net.get_submodule(""),
            net.get_parameter("inner.0.bias"),
            net.get_buffer("count"),
        )

    twin(program)


# -- modes ---------------------------------------------------------------------------------------


def test_train_eval_and_apply(twin):
    def program(t, nn):
        net = net_of(t, nn)
        seen = []
        assert net.eval() is net
        modes = [m.training for m in net.modules()]
        net.inner.train()
        modes += [m.training for m in net.modules()]
        assert net.apply(lambda m: seen.append(type(m))) is net
        return modes, seen

    twin(program)


def test_requires_grad_and_zero_grad(twin):
    def program(t, nn):
        net = net_of(t, nn)
        net.inner.requires_grad_(False)
        net(t.ones(2, 3)).sum().backward()
        grads = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
        net.zero_grad(set_to_none=False)
        zeros = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
        net.zero_grad()
        return (
            grads,
            zeros,
            [p.grad for p in net.parameters()],
            [p.requires_grad for p in net.parameters()],
        )

    twin(program)


# -- parameters ----------------------------------------------------------------------------------


def test_parameter(twin):
    def program(t, nn):
        data = t.arange(3.0)
        p = nn.Parameter(data)
        data[0] = 5.0
        q = copy.deepcopy(p)
        r = pickle.loads(pickle.dumps(p))
        with t.no_grad():
            inside = nn.Parameter(t.ones(1))
        frozen = nn.Parameter(data, requires_grad=False)
        return (
            [p, q, r],
            [type(x) for x in (p, q, r, p + 1, p.data, p.detach(), nn.Parameter())],
            [x.requires_grad for x in (p, q, r, inside, frozen, p.detach())],
            [repr(x) for x in (p, frozen, nn.Parameter(), inside)],
            [isinstance(x, t.Tensor) for x in (p, q, r)],
            nn.Parameter(p * 2).is_leaf,
        )

    twin(program)


def test_parameter_keeps_attributes(twin):
    def program(t, nn):
        p = nn.Parameter(t.ones(1))
        p.note = "mine"
        return pickle.loads(pickle.dumps(p)).note, hasattr(copy.deepcopy(p), "note")

    twin(program)


def test_uninitialized(twin):
    def program(t, nn):
        p, b = nn.UninitializedParameter(dtype=t.float64), nn.UninitializedBuffer()
        texts = repr(p), repr(b), repr(copy.deepcopy(p))
        p.materialize((2, 3))
        b.materialize(4)
        return (
            texts,
            [type(p), type(b)],
            p.shape == (2, 3),
            p.dtype,
            p.requires_grad,
            b.requires_grad,
        )

    twin(program)
    for use in (lambda p: p + 1, lambda p: p.sum()):
        assert isinstance(twin(lambda t, nn, use=use: use(nn.UninitializedParameter())), ValueError)
    assert isinstance(twin(lambda t, nn: nn.UninitializedParameter().shape), RuntimeError)


# -- names that subclasses may use ---------------------------------------------------------------


def test_a_module_has_no_names_of_its_own():
    extra = set(dir(rl.nn.Module)) - set(dir(torch.nn.Module()))
    assert extra - {"__annotations__"} == {"_hook_tables", "_tables_of_calls", "_hooks_of_backward"}


def test_attributes_called_like_parts_of_the_machinery():
    def build(t, nn):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self._persistent = {"a": False}
                self._hooks = [1]
                self._unknown = 0
                self.inner = nn.Linear(2, 1)

            def forward(self, x):
                return self.inner(x)

        net = Net()
        t.nn.init.ones_(net.inner.weight)
        t.nn.init.zeros_(net.inner.bias)
        net.load_state_dict(net.state_dict())
        return net(t.ones(2)).tolist(), sorted(copy.deepcopy(net).state_dict()), net._hooks

    assert build(rl, rl.nn) == build(torch, torch.nn)


@pytest.mark.parametrize("nn", [torch.nn, rl.nn])
def test_members_are_read_by_calling_getattr(nn):
    layer = nn.Sequential(nn.BatchNorm1d(2))
    assert layer.__getattr__("0") is layer[0]
    assert layer[0].__getattr__("weight") is layer[0].weight
    assert layer[0].__getattr__("running_mean") is layer[0].running_mean
    with pytest.raises(AttributeError):
        layer.__getattr__("1")


def test_conversions_may_make_new_parameters():
    for lib in (torch, rl):
        layer = lib.nn.Linear(2, 3)
        layer(lib.ones(1, 2)).sum().backward()
        weight = layer.weight
        assert layer.double().weight is weight
        lib.__future__.set_overwrite_module_params_on_conversion(True)
        try:
            assert layer.float().weight is not weight
            assert isinstance(layer.weight, lib.nn.Parameter) and layer.weight.grad is not None
            assert layer.weight.dtype is layer.weight.grad.dtype is lib.float32
            weight = layer.weight
            lib.__future__.set_swap_module_params_on_conversion(True)
            layer.weight.grad = None
            assert layer.double().weight is weight
        finally:
            lib.__future__.set_overwrite_module_params_on_conversion(False)
            lib.__future__.set_swap_module_params_on_conversion(False)


def test_methods_print_as_torchs():
    def printed(lib):
        net = lib.nn.Linear(2, 3)
        values = net.parameters(), net.named_modules(), net.children(), net.buffers(), net.apply
        return [str(v).partition(" at 0x")[0] for v in (*values, net.state_dict, net.to, net.train)]

    assert printed(rl) == printed(torch)


def test_a_parameter_that_is_printed_its_own_way(twin):
    def program(t, nn):
        class Curved(nn.Parameter):
            def __repr__(self):
                return "Curved\n" + super().__repr__()

        p, plain = Curved(t.ones(2)), nn.Parameter(t.ones(2))
        return str(p), repr(p), f"{p}", str(plain), str(nn.UninitializedParameter())

    twin(program)


def test_members_of_names_that_the_class_has(twin):
    def program(t, nn):
        class Blocks(nn.Module):
            scale = None

            def __init__(self):
                super().__init__()
                self.parameters = []
                self.parameters.extend(nn.Linear(2, 2).parameters())
                self.parameters = nn.ParameterList(self.parameters)
                self.scale = nn.Parameter(t.ones(2))
                self.mro = nn.Linear(2, 1)

        m = Blocks()
        copied = copy.deepcopy(m)
        return [
            [tuple(p.shape) for p in m.parameters()], list(m.state_dict()), m.scale, repr(m.mro),
            [len(list(x.parameters())) for x in (copied, pickle.loads(pickle.dumps(nn.ReLU())))],
            m,
        ]  # fmt: skip

    twin(program)


def test_a_transposed_convolution_of_the_users_own(twin):
    def program(t, nn):
        class Scaled(nn.ConvTranspose2d):
            def forward(self, input, output_size=None):
                own = self.stride, self.padding, self.kernel_size, 2, self.dilation
                end = self._output_padding(input, output_size, *own)
                weight = self.weight * 2
                return nn.functional.conv_transpose2d(
                    input, weight, self.bias, self.stride, self.padding, end
                )

        t.manual_seed(0)
        layer = Scaled(2, 3, 3, stride=2)
        kind = nn.modules.conv._ConvTransposeNd
        free = kind._output_padding(None, t.ones(1, 1, 4), (8,), (2,), (1,), (3,), 1)
        return (
            layer(t.ones(1, 2, 4, 4)), layer(t.ones(1, 2, 4, 4), (10, 9)), list(free),
            [isinstance(m, kind) for m in (layer, nn.ConvTranspose1d(1, 1, 1), nn.Conv2d(1, 1, 1))],
        )  # fmt: skip

    twin(program)


@pytest.mark.parametrize("value", [[1.0, 2.0], 3.0, "a"])
def test_parameters_are_made_of_tensors(value):
    with pytest.raises(TypeError, match=r"expected a Tensor, but got .*as_tensor"):
        rl.nn.Parameter(value)


def test_errors_about_arguments_name_the_layer():
    for name in (
        "Conv2d",
        "LazyConv1d",
        "ReLU",
        "BatchNorm2d",
        "MaxUnpool2d",
        "ZeroPad2d",
        "Softmax",
    ):
        with pytest.raises(
            TypeError, match=rf"^{name}\.__init__\(\) got an unexpected .* 'strides'"
        ):
            getattr(rl.nn, name)(strides=2)

    class Narrow(rl.nn.Conv1d):
        pass

    with pytest.raises(TypeError, match=r"^Conv1d.__init__\(\) missing 1 .* 'kernel_size'"):
        Narrow(2, 3)
    assert copy.deepcopy(Narrow(2, 3, kernel_size=1)).kernel_size == (1,)


def test_what_is_a_buffer():
    for lib in (torch, rl):
        b = lib.nn.Buffer(lib.ones(1))
        assert isinstance(b, lib.nn.Buffer)
        assert type(b) is lib.Tensor
        assert not isinstance(b.clone(), lib.nn.Buffer)
        assert not isinstance(lib.nn.Parameter(b), lib.nn.Buffer)
