"""state_dict and load_state_dict: names, strictness, messages, hooks."""

import warnings
from collections import OrderedDict

import pytest

import rushlight as rl


def pair(t, nn):
    return nn.Sequential(OrderedDict(a=nn.Linear(2, 3), b=nn.BatchNorm1d(3)))


def loading(change, **options):
    """A program: change the state of one module, load it into another."""

    def program(t, nn):
        state = pair(t, nn).state_dict()
        target = pair(t, nn)
        changed = change(state, t)
        result = target.load_state_dict(state if changed is None else changed, **options)
        return repr(result), result.missing_keys, result.unexpected_keys, dict(target.state_dict())

    return program


def drop(state, t):
    del state["a.bias"]


def extra(state, t):
    state["a.more"] = t.zeros(1)
    state["c.deep.weight"] = t.zeros(1)


def reshape(state, t):
    state["a.weight"] = t.zeros(5, 2)


def everything(state, t):
    drop(state, t)
    extra(state, t)
    state["b.running_mean"] = t.zeros(4)


def not_a_tensor(state, t):
    state["a.bias"] = [1.0]


def old_scalar(state, t):
    state["b.num_batches_tracked"] = t.tensor([7])


@pytest.mark.parametrize("change", [lambda s, t: None, lambda s, t: dict(s), old_scalar])
@pytest.mark.parametrize("assign", [False, True])
def test_loading(twin, change, assign):
    twin(loading(change, assign=assign and change is not old_scalar))


@pytest.mark.parametrize("change", [drop, extra])
def test_not_strict(twin, change):
    twin(loading(change, strict=False))


@pytest.mark.parametrize("change", [drop, extra, reshape, everything, not_a_tensor])
@pytest.mark.parametrize("strict", [True, False])
def test_messages_are_torchs(twin, change, strict):
    def program(t, nn):
        try:
            loading(change, strict=strict)(t, nn)
        except RuntimeError as error:
            return str(error).replace("rushlight", "torch")
        return "loaded"

    twin(program)


def test_assign_keeps_the_given_tensors(twin):
    def program(t, nn):
        layer, frozen = nn.Linear(2, 1), nn.Linear(2, 1).requires_grad_(False)
        state = {"weight": t.ones(1, 2, dtype=t.float64), "bias": nn.Parameter(t.zeros(1))}
        layer.load_state_dict(state, assign=True)
        frozen.load_state_dict(state, assign=True)
        return (
            layer.weight.data_ptr() == state["weight"].data_ptr(),
            [type(p) for p in layer.parameters()],
            [p.dtype for p in layer.parameters()],
            [p.requires_grad for p in frozen.parameters()],
        )

    twin(program)


def test_state_shares_memory(twin):
    def program(t, nn):
        layer = nn.Linear(2, 1)
        layer.state_dict()["weight"].zero_()
        kept = layer.state_dict(keep_vars=True)
        return (
            layer.weight,
            kept["weight"] is layer.weight,
            layer.state_dict()["bias"].requires_grad,
        )

    twin(program)


def test_destination_prefix_and_metadata(twin):
    def program(t, nn):
        net = pair(t, nn)
        into = OrderedDict()
        returned = net.state_dict(destination=into, prefix="net.")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            positional = net.state_dict(OrderedDict(), "x.", True)
        assert caught[0].category is FutureWarning
        return returned is into, list(into), list(positional), dict(net.state_dict()._metadata)

    twin(program)


def test_batchnorm_of_version_1(twin):
    """Files from before batches were counted lack the count."""

    def change(state, t):
        del state["b.num_batches_tracked"]
        del state._metadata

    twin(loading(change))


def test_extra_state(twin):
    def program(t, nn):
        class Net(nn.Linear):
            def get_extra_state(self):
                return {"epoch": 3}

            def set_extra_state(self, state):
                self.seen = state

        net, other = Net(1, 1), Net(1, 1)
        other.load_state_dict(net.state_dict())
        plain = nn.Linear(1, 1)
        unexpected = plain.load_state_dict(net.state_dict(), strict=False).unexpected_keys
        missing = net.load_state_dict(plain.state_dict(), strict=False).missing_keys
        return list(net.state_dict()), other.seen, unexpected, missing

    twin(program)


def test_hooks(twin):
    def program(t, nn):
        seen = []
        net = pair(t, nn)
        net.register_state_dict_pre_hook(lambda m, prefix, keep: seen.append(("pre", prefix, keep)))

        def post(m, state, prefix, local):
            state["more"] = t.ones(1)
            seen.append(("post", prefix, dict(local)))

        net.a.register_state_dict_post_hook(post)

        def before(m, state, prefix, local, strict, missing, unexpected, errors):
            seen.append(("load", prefix, strict, m is net.a))
            state.pop("more", None)

        def after(m, keys):
            seen.append(("loaded", list(keys.missing_keys), list(keys.unexpected_keys)))
            keys.unexpected_keys.clear()

        net.a.register_load_state_dict_pre_hook(before)
        handle = net.register_load_state_dict_post_hook(after)
        state = net.state_dict()
        result = net.load_state_dict(state, strict=False)
        handle.remove()
        again = net.load_state_dict(net.state_dict(), strict=False)
        return seen, repr(result), repr(again), list(state)

    twin(program)


def test_private_hooks_of_older_programs(twin):
    def program(t, nn):
        layer = nn.Linear(1, 1)
        layer._register_state_dict_hook(lambda m, state, prefix, local: {"only": state["weight"]})
        seen = []
        layer._register_load_state_dict_pre_hook(lambda *args: seen.append(len(args)))
        layer._register_load_state_dict_pre_hook(
            lambda *args: seen.append(len(args)), with_module=True
        )
        layer.load_state_dict(nn.Linear(1, 1).state_dict())
        return list(layer.state_dict()), seen

    twin(program)


def test_post_hooks_may_not_return(twin):
    def program(t, nn):
        layer = nn.Linear(1, 1)
        layer.register_state_dict_post_hook(lambda *args: 3)
        return layer.state_dict()

    assert isinstance(twin(program), RuntimeError)


def test_consume_prefix(twin):
    def program(t, nn):
        state = nn.Sequential(nn.Linear(1, 1)).state_dict(prefix="module.")
        nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module.")
        return list(state), dict(state._metadata)

    twin(program)


def test_load_is_not_recorded():
    layer = rl.nn.Linear(2, 2)
    layer.load_state_dict(rl.nn.Linear(2, 2).state_dict())
    assert layer.weight.is_leaf
    assert layer.weight.requires_grad


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_assign_keeps_the_parameters_where_they_are_to_stay(twin, device):
    def program(t, nn):
        layer = nn.BatchNorm1d(3).to(device)
        given = {k: v + 2 for k, v in nn.BatchNorm1d(3).double().state_dict().items()}
        weight, mean = layer.weight, layer.running_mean
        t.__future__.set_swap_module_params_on_conversion(True)
        try:
            layer.load_state_dict(given, assign=True)
        finally:
            t.__future__.set_swap_module_params_on_conversion(False)
        return (
            layer.weight is weight,
            layer.running_mean is mean,
            [
                (type(v), v.dtype, v.requires_grad)
                for v in layer.state_dict(keep_vars=True).values()
            ],
            weight.tolist(),
            weight.data_ptr() == given["weight"].data_ptr(),
        )

    twin(program)


def test_layers_without_shapes_are_loaded_into_such(twin):
    def program(t, nn):
        layer = nn.LazyLinear(2)
        layer.load_state_dict(nn.LazyLinear(2).state_dict())
        return layer.has_uninitialized_params()

    twin(program)
