"""Hooks around forward and backward, of one module and of all."""

import warnings

import pytest

import rushlight


def test_forward_hooks(twin):
    def program(t, nn):
        seen = []
        net = nn.Linear(2, 1, bias=False)

        def pre(m, args):
            seen.append(("pre", len(args)))
            return args[0] * 2

        def pre_kwargs(m, args, kwargs):
            seen.append(("pre with kwargs", len(args), sorted(kwargs)))
            return args, kwargs

        def post(m, args, out):
            seen.append(("post", args[0].clone(), out.clone()))
            return out + 1

        def post_kwargs(m, args, kwargs, out):
            seen.append(("post with kwargs", sorted(kwargs), out.clone()))

        handles = [
            net.register_forward_pre_hook(pre),
            net.register_forward_pre_hook(pre_kwargs, with_kwargs=True, prepend=True),
            net.register_forward_hook(post),
            net.register_forward_hook(post_kwargs, with_kwargs=True),
            net.register_forward_hook(lambda m, a, o: seen.append("first"), prepend=True),
        ]
        x = t.ones(1, 2)
        first = net(x)
        handles[2].remove()
        with handles[0]:
            second = net(x)
        third = net(x)
        for handle in handles:
            handle.remove()
        return first, second, third, net(x), seen

    twin(program)


def test_keyword_arguments_reach_hooks(twin):
    def program(t, nn):
        class Net(nn.Module):
            def forward(self, x, *, scale=1.0):
                return x * scale

        net, seen = Net(), []
        net.register_forward_pre_hook(lambda m, a, k: (a, {"scale": 3.0}), with_kwargs=True)
        net.register_forward_hook(lambda m, a, k, o: seen.append((len(a), k)), with_kwargs=True)
        return net(t.ones(2), scale=2.0), seen

    twin(program)


@pytest.mark.parametrize("result", [3, (1, 2, 3), [1, 2]])
def test_pre_hook_returns_nonsense(twin, result):
    def program(t, nn):
        net = nn.ReLU()
        net.register_forward_pre_hook(lambda m, a, k: result, with_kwargs=True)
        return net(t.ones(1))

    assert isinstance(twin(program), RuntimeError)


def test_always_call(twin):
    def program(t, nn):
        class Net(nn.Module):
            def forward(self, x):
                raise ValueError("no")

        net, seen = Net(), []
        net.register_forward_hook(lambda m, a, o: seen.append("not called"))
        net.register_forward_hook(lambda m, a, o: seen.append(o), always_call=True)
        try:
            net(t.ones(1))
        except ValueError as error:
            seen.append(str(error))
        return seen

    twin(program)


def test_always_call_that_fails_itself(twin):
    def program(t, nn):
        class Net(nn.Module):
            def forward(self, x):
                raise ValueError("no")

        def hook(m, a, o):
            raise TypeError("hook")

        net = Net()
        net.register_forward_hook(hook, always_call=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with pytest.raises(ValueError):
                net(t.ones(1))
        return len(caught)

    twin(program)


def grads_of(tensors):
    return [None if g is None else g.clone() for g in tensors]


def test_full_backward_hooks(twin):
    def program(t, nn):
        seen = []
        net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))

        def full(m, grad_input, grad_output):
            seen.append(("full", grads_of(grad_input), grads_of(grad_output)))
            return tuple(None if g is None else g * 2 for g in grad_input)

        def pre(m, grad_output):
            seen.append(("pre", grads_of(grad_output)))
            return (grad_output[0] * 3,)

        net[1].register_full_backward_hook(full)
        net[2].register_full_backward_pre_hook(pre)
        net[0].register_full_backward_hook(
            lambda m, i, o: seen.append(("first", grads_of(i), grads_of(o)))
        )
        x = t.ones(2, 2, requires_grad=True)
        net(x).sum().backward()
        return seen, x.grad, [p.grad for p in net.parameters()]

    twin(program)


def test_backward_hook_without_input_gradient(twin):
    def program(t, nn):
        seen = []
        layer = nn.Linear(2, 1)
        layer.register_full_backward_hook(lambda m, i, o: seen.append((grads_of(i), grads_of(o))))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            layer(t.ones(1, 2)).sum().backward()
        return seen, layer.weight.grad, [w.category for w in caught]

    twin(program)


def test_backward_hook_with_several_inputs_and_outputs(twin):
    def program(t, nn):
        class Net(nn.Module):
            def forward(self, a, flag, b):
                return a * b, a + b, flag

        seen = []
        net = Net()
        net.register_full_backward_hook(lambda m, i, o: seen.append((grads_of(i), grads_of(o))))
        a, b = t.tensor([2.0], requires_grad=True), t.tensor([3.0])
        x, y, flag = net(a, "flag", b)
        (x * 2 + y).sum().backward()
        return seen, a.grad, flag

    twin(program)


def test_backward_hook_errors(twin):
    def wrong_count(t, nn):
        layer = nn.Linear(1, 1)
        layer.register_full_backward_hook(lambda m, i, o: (i[0], i[0]))
        layer(t.ones(1, 1, requires_grad=True)).sum().backward()

    def both_kinds(t, nn):
        layer = nn.Linear(1, 1)
        layer.register_full_backward_hook(lambda m, i, o: None)
        layer.register_backward_hook(lambda m, i, o: None)

    for program in (wrong_count, both_kinds):
        assert isinstance(twin(program), RuntimeError)


def test_older_backward_hook(twin):
    def program(t, nn):
        seen = []
        layer = nn.Tanh()
        layer.register_backward_hook(lambda m, i, o: seen.append((grads_of(i), grads_of(o))))
        x = t.ones(2, requires_grad=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            layer(x).sum().backward()
        return seen, [w.category for w in caught]

    twin(program)


def test_global_hooks(twin):
    def program(t, nn):
        seen = []
        module = nn.modules.module
        handles = [
            module.register_module_forward_pre_hook(lambda m, a: seen.append(("pre", type(m)))),
            module.register_module_forward_hook(lambda m, a, o: seen.append(("post", type(m)))),
            module.register_module_forward_hook(
                lambda m, a, k, o: seen.append(("kwargs", type(m))), with_kwargs=True
            ),
            module.register_module_full_backward_hook(
                lambda m, i, o: seen.append(("full", type(m)))
            ),
            module.register_module_full_backward_pre_hook(
                lambda m, o: seen.append(("before", type(m)))
            ),
        ]
        net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        net[0].register_forward_hook(lambda m, a, o: seen.append("own"))
        try:
            net(t.ones(1, 2, requires_grad=True)).sum().backward()
        finally:
            for handle in handles:
                handle.remove()
        count = len(seen)
        net(t.ones(1, 2))
        return seen, len(seen) - count

    twin(program)


def test_registration_hooks(twin):
    def program(t, nn):
        seen = []
        module = nn.modules.module
        handles = [
            module.register_module_parameter_registration_hook(lambda m, n, p: seen.append(n)),
            module.register_module_buffer_registration_hook(lambda m, n, b: seen.append(n)),
            module.register_module_module_registration_hook(lambda m, n, c: seen.append(n)),
        ]
        try:
            nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        finally:
            for handle in handles:
                handle.remove()
        nn.Linear(2, 2)
        return seen

    twin(program)


def test_hooks_that_remove_themselves(twin):
    def program(t, nn):
        layer, seen = nn.ReLU(), []

        def hook(m, a, o):
            seen.append("once")
            handle.remove()

        handle = layer.register_forward_hook(hook)
        layer(t.ones(1))
        layer(t.ones(1))
        return seen

    twin(program)


def test_tables_are_visible(twin):
    def program(t, nn):
        layer = nn.ReLU()
        empty = len(layer._forward_hooks)
        layer.register_forward_hook(lambda m, a, o: o + 1)
        one = len(layer._forward_hooks)
        raised = layer(t.ones(1))
        layer._forward_hooks.clear()
        return empty, one, raised, layer(t.ones(1))

    twin(program)


def test_full_backward_hooks_and_gradients_that_do_not_come_from_the_output():
    """A second derivative, and a gradient of something else that a module computes."""

    class Square(rushlight.nn.Module):
        def forward(self, x):
            self.other = (x * 2).sum()
            return (x * x).sum()

    module, seen = Square(), []
    module.register_full_backward_hook(lambda *given: seen.append(given))
    x = rushlight.tensor([1.0, 2.0], requires_grad=True)
    (g,) = rushlight.autograd.grad(module(x), x, create_graph=True)
    (second,) = rushlight.autograd.grad(g.sum(), x, retain_graph=True)
    assert second.tolist() == [2, 2] and len(seen) == 1
    module(x)
    module.other.backward()
    assert x.grad.tolist() == [2, 2] and len(seen) == 1
