"""What `torch.autograd.graph` says of the graph and of what is saved, in both libraries."""

import math
import warnings
from collections import OrderedDict
from unittest import mock

import pytest
import torch

import rushlight

LIBRARIES = pytest.mark.parametrize("lib", [torch, rushlight])


@LIBRARIES
def test_an_edge_stands_for_its_tensor(lib):
    x = lib.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    second = y.split([1, 2])[1]
    places = [lib.autograd.graph.get_gradient_edge(t) for t in (x, y, second)]
    z = (y.sum() + 3 * second.sum()) ** 2
    found = lib.autograd.grad(z, places, retain_graph=True)
    assert [g.tolist() for g in found] == [[168.0, 672.0, 672.0], [84.0, 336.0, 336.0], [252.0] * 2]
    assert lib.autograd.grad(z, places[1])[0].tolist() == [84.0, 336.0, 336.0]
    assert places[2].output_nr == 1 and places[0].ownership_token is None
    assert places[0].output_nr == x.output_nr == 0
    assert places[0].node.name() == "torch::autograd::AccumulateGrad"


@LIBRARIES
def test_the_gradient_of_a_tensor_may_come_in_a_list(lib):
    x = lib.ones(2, requires_grad=True)
    for given in ([lib.tensor(2.0)], (lib.tensor(3.0),), [None]):
        x.sum().backward(given)
    assert x.grad.tolist() == [6.0, 6.0]
    with pytest.raises(RuntimeError, match="got 1 tensors and 0 gradients"):
        x.sum().backward([])
    with pytest.raises(TypeError):
        x.sum().backward(3.0)


@LIBRARIES
def test_no_edge_without_gradient(lib):
    with pytest.raises(RuntimeError, match="does not require gradients"):
        lib.autograd.graph.get_gradient_edge(lib.ones(2))


@LIBRARIES
def test_hooks_on_saved_tensors_can_be_refused(lib):
    graph = lib.autograd.graph
    hooks = lambda: graph.saved_tensors_hooks(lambda t: t, lambda t: t)  # noqa: E731
    refused = graph.disable_saved_tensors_hooks
    with refused("not here"), pytest.raises(RuntimeError, match="not here"), hooks():
        pass
    with hooks(), pytest.raises(RuntimeError, match="nor here"), refused("nor here"):
        pass
    with hooks():
        assert (lib.ones(2, requires_grad=True) ** 2).requires_grad


@LIBRARIES
def test_a_write_by_other_means_is_noticed(lib):
    x = lib.ones(2, requires_grad=True)
    y = x * 1
    z = (y**2).sum()
    lib.autograd.graph.increment_version([y, y])
    assert y._version == 2
    with pytest.raises(RuntimeError):
        z.backward()


@LIBRARIES
def test_handles_of_hooks_that_a_program_keeps(lib):
    hooks, more = OrderedDict(), OrderedDict()
    handle = lib.utils.hooks.RemovableHandle(hooks, extra_dict=more)
    other = lib.utils.hooks.RemovableHandle(hooks, extra_dict=[more])
    for h in (handle, other):
        hooks[h.id] = more[h.id] = print
    handle.remove()
    assert list(hooks) == list(more) == [other.id]
    with other:
        pass
    assert not hooks and not more


@LIBRARIES
def test_saved_values_are_attributes_of_the_node(lib):
    a, b = lib.ones(2, 3, requires_grad=True), lib.full((2, 3), 2.0, requires_grad=True)
    node = (a * b).grad_fn
    assert node._saved_self.equal(a) and node._saved_other.equal(b)
    assert {"_saved_self", "_saved_other", "_raw_saved_self"} <= set(dir(node))
    out = a.exp()
    assert out.grad_fn._saved_result.equal(out) and (a**2).grad_fn._saved_exponent == 2
    with pytest.raises(AttributeError):
        node._saved_third
    out.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        out.grad_fn._saved_result


@LIBRARIES
def test_nodes_tell_sizes_and_places(lib):
    """Programs that prune or visualise networks read them."""
    x = lib.zeros(2, 6, 4, requires_grad=True)
    size = (2, 6, 4)
    for made, facts in [
        (x.view(2, 24), {}),
        (x.flatten(1), {}),
        (x.sum(1), {"dim": (1,), "keepdim": False}),
        (x.mean((1, 2), True), {"dim": (1, 2), "keepdim": True}),
        (x[:, 1:5:2], {"dim": 1, "start": 1, "end": 5, "step": 2}),
        (x[..., :3], {"dim": 2, "start": 0, "end": 3}),
        (x[..., 1], {"dim": 2, "index": 1}),
        (x.sin(), None),
        (x.narrow(1, 2, 3), {"dim": 1, "start": 2, "end": 5, "step": 1}),
        (x[:, 3], {"dim": 1, "index": 3}),
        (x.select(2, 1), {"dim": 2, "index": 1}),
        (x.split((2, 4), 1)[1], {"dim": 1, "split_sizes": (2, 4)}),
        (x.split(4, 1)[0], {"dim": 1, "split_size": 4}),
        (x.chunk(3, 1)[0], {"dim": 1, "split_size": 2}),
    ]:
        node = made.grad_fn
        if facts is None:
            assert not hasattr(node, "_saved_self_sym_sizes")
            continue
        for name, value in {"self_sym_sizes": size, **facts}.items():
            assert getattr(node, f"_saved_{name}") == value
            assert f"_saved_{name}" in dir(node)
    assert x[:, :1].expand(2, 6, 4).grad_fn._saved_self_sym_sizes == (2, 1, 4)


@LIBRARIES
def test_nodes_of_losses_norms_and_pools_tell_what_they_saved(lib):
    F, x = lib.nn.functional, lib.ones(1, 2, 4, 4, requires_grad=True)
    logits, classes = x[0, :, 0], lib.tensor([0, 1])
    pooled = {"kernel_size": (2, 2), "padding": (1, 1)}
    for made, facts in [
        (F.mse_loss(x, x.detach()), {"reduction": 1}),
        (F.smooth_l1_loss(x, x.detach(), reduction="sum"), {"reduction": 2, "beta": 1.0}),
        (F.binary_cross_entropy_with_logits(x, x.detach()), {"reduction": 1}),
        (F.nll_loss(logits, classes, reduction="none"), {"reduction": 0}),
        (F.cross_entropy(logits, classes), {"reduction": 1}),
        (F.max_pool2d(x, 2, padding=1), {**pooled, "dilation": (1, 1)}),
        (F.avg_pool2d(x, 2, padding=1), {**pooled, "count_include_pad": True}),
        (F.conv2d(x, lib.ones(1, 2, 3, 3), padding=1), {"padding": (1, 1), "groups": 1}),
        (F.embedding(classes, x[0, 0]), {"scale_grad_by_freq": False}),
        (F.group_norm(x, 2), {"group": 2, "eps": 1e-5}),
    ]:
        for name, value in facts.items():
            assert getattr(made.grad_fn, f"_saved_{name}") == value
    for made, names in [
        (F.cross_entropy(logits, classes), "self target"),
        (F.binary_cross_entropy_with_logits(x, x.detach()), "self target"),
        (F.embedding(classes, x[0, 0]), "indices"),
        (F.layer_norm(x, (4,), lib.ones(4), lib.ones(4)), "input weight"),
    ]:
        for name in names.split():
            assert isinstance(getattr(made.grad_fn, f"_saved_{name}"), lib.Tensor)
    probabilities = F.cross_entropy(logits, classes).grad_fn._saved_self
    assert probabilities.tolist() == logits.log_softmax(1).tolist()


@LIBRARIES
def test_outputs_of_an_operation_have_one_node(lib):
    x = lib.arange(12.0).view(2, 6).requires_grad_()
    a, b = x.split((2, 4), 1)
    node, seen = a.grad_fn, []
    assert node is b.grad_fn and node.name() == "SplitWithSizesBackward0"
    assert (b + 1).grad_fn.next_functions[0] == (node, 1)
    assert a.output_nr == 0 and b.output_nr == 1
    place = lib.autograd.graph.get_gradient_edge(b)
    assert place.node is node and place.output_nr == 1
    node.register_hook(lambda inputs, outputs: seen.append((len(inputs), len(outputs))))
    loss = (b * b).sum()
    assert lib.autograd.grad(loss, place, retain_graph=True)[0].equal(2 * b)
    loss.backward()
    assert seen[-1] == (1, 2)
    q, r = lib.linalg.qr(x @ x.T)
    assert q.grad_fn is r.grad_fn


@LIBRARIES
def test_saved_values_are_packed_in_the_order_of_the_rules(lib):
    a, b = lib.ones(1, requires_grad=True), lib.full((1,), 2.0, requires_grad=True)
    seen = []
    hooks = (lambda t: seen.append(t.item()) or t), (lambda t: t)
    with lib.autograd.graph.saved_tensors_hooks(*hooks):
        a * b
        b.exp() + a.sin()
        a.view(1, 1) @ b.view(1, 1)
    assert seen == pytest.approx([2.0, 1.0, math.exp(2.0), 1.0, 2.0, 1.0])


@LIBRARIES
def test_hooks_of_one_saved_value(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    y.grad_fn._raw_saved_self.register_hooks(lambda t: t * 2, lambda t: t / 2 * 3)
    with pytest.raises(RuntimeError):
        y.grad_fn._raw_saved_self.register_hooks(lambda t: t, lambda t: t)
    y.sum().backward()
    assert (x.grad / x).tolist() == [4.0, 4.0]
    with lib.autograd.graph.saved_tensors_hooks(lambda t: 4, lambda t: t):
        z = x.exp()
    with pytest.raises(TypeError, match="expected to be a Tensor"):
        z.sum().backward()


@LIBRARIES
def test_nodes_are_of_classes_called_as_they_are(lib):
    class Twice(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    class Both(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, g, h):
            return g * 2 + h * 3

    x = lib.ones(2, 2, requires_grad=True)
    node = Both.apply(x)[1].grad_fn
    assert f"{lib.__name__}.autograd.function.BothBackward" in repr(node)
    assert type(node).__module__ == f"{lib.__name__}.autograd.function"
    y = Twice.apply(x)
    assert type(y.grad_fn).__name__ == y.grad_fn.name() == "TwiceBackward"
    assert f"{lib.__name__}.autograd.function.TwiceBackward" in repr(y.grad_fn)
    (above, _), *_ = (y.exp() + 1).grad_fn.next_functions
    assert type(above).__name__ == "ExpBackward0" and above is not x
    first, second = y.unbind()
    assert type(second.grad_fn).__name__ == "UnbindBackward0"
    (first.sum() + second.sum()).backward()
    assert x.grad.tolist() == [[2.0, 2.0], [2.0, 2.0]]
    assert isinstance(first.grad_fn, lib.autograd.graph.Node)


@LIBRARIES
def test_multi_grad_hooks_do_not_wait_for_what_a_pass_leaves_out(lib):
    a, b, c = (lib.ones(2, requires_grad=True) for _ in range(3))
    seen = []
    lib.autograd.graph.register_multi_grad_hook(
        (a, b, c), lambda gs: seen.append([g is not None for g in gs])
    )
    (a + b).sum().backward()
    (a * b * c).sum().backward()
    (c * 2).sum().backward()
    assert seen == [[True, True, False], [True, True, True], [False, False, True]]


@LIBRARIES
def test_multi_grad_hooks_do_not_wait_for_what_is_not_asked_for(lib):
    a, b = (lib.ones(2, requires_grad=True) for _ in range(2))
    c = a * b
    seen = []
    lib.autograd.graph.register_multi_grad_hook(
        (a, b, c), lambda gs: seen.append([g is not None for g in gs])
    )
    c.sum().backward(inputs=(a,), retain_graph=True)
    lib.autograd.grad(c.sum(), c)
    assert seen == [[True, False, True], [False, False, True]]


@LIBRARIES
def test_mutation_of_saved_tensors_may_be_allowed(lib):
    with lib.autograd.graph.allow_mutation_on_saved_tensors() as kept:
        a = lib.full((2,), 0.5, requires_grad=True)
        b = a.clone()
        out = (b**2).sum()
        b.sin_()
        (g,) = lib.autograd.grad(out, a, create_graph=True)
        assert g.tolist() == [1.0, 1.0]
        late = (a.clone() ** 2).sum()
        kept.clear()
    with pytest.raises(AssertionError, match="outside of"):
        late.backward()


@LIBRARIES
def test_edges_of_a_linear_layer_begin_with_its_bias(lib):
    layer, x = lib.nn.Linear(2, 3), lib.ones(4, 2, requires_grad=True)
    first, second, _ = layer(x.exp()).grad_fn.next_functions
    assert first[0].variable is layer.bias and second[0].name() == "ExpBackward0"


@LIBRARIES
def test_ctx_takes_attributes_of_any_name(lib):
    names = "saved params op edges seq specs versions special function hooks meta out_specs node"

    class Scale(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, by):
            ctx.save_for_backward(x)
            for name in names.split():
                setattr(ctx, name, by)
            return x * by, x + 1

        @staticmethod
        def backward(ctx, g, h):
            assert all(getattr(ctx, name) == 3 for name in names.split())
            assert ctx.saved_tensors[0].shape == g.shape and ctx.needs_input_grad == (True, False)
            return g * ctx.saved + h, None

    x = lib.ones(2, requires_grad=True)
    y, z = Scale.apply(x, 3)
    assert y.grad_fn.name() == "ScaleBackward"
    (y + z).sum().backward()
    assert x.grad.tolist() == [4.0, 4.0]
    lib.autograd.function.FunctionCtx().mark_dirty(x)


class Doubled(rushlight.autograd.Function):
    @staticmethod
    def forward(ctx, other, x):
        ctx.mark_dirty(x)
        return x.mul_(2)

    @staticmethod
    def backward(ctx, g):
        return None, g * 2


def test_a_function_that_writes_to_a_view_is_part_of_the_bases_history():
    a = rushlight.tensor([1.0, 2.0], requires_grad=True)
    base = a.clone()
    view = base[:1]
    out = Doubled.apply(rushlight.ones(1, requires_grad=True), view)
    assert out is view
    (base * rushlight.tensor([3.0, 5.0])).sum().backward()
    assert a.grad.tolist() == [6, 5]


class Power(rushlight.autograd.Function):
    @staticmethod
    def forward(x, exponent=2):
        return x**exponent

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.exponent = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * ctx.exponent * x ** (ctx.exponent - 1), None


def test_setup_context_sees_defaults():
    for arguments, named, expected in (((), {}, 6), ((3,), {}, 27), ((), {"exponent": 1}, 1)):
        x = rushlight.tensor(3.0, requires_grad=True)
        Power.apply(x, *arguments, **named).backward()
        assert x.grad.item() == expected


@pytest.mark.parametrize("create_graph", [False, True])
def test_saved_outputs_belong_to_the_graph(create_graph):
    seen = []

    class Twice(rushlight.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = 2 * x
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            seen.append((y.requires_grad, y.grad_fn is not None, y.is_leaf))
            return 2 * g

    x = rushlight.ones(2, requires_grad=True)
    Twice.apply(x).sum().backward(create_graph=create_graph)
    assert seen == [(True, True, False)]
    assert x.grad.tolist() == [2, 2]


@pytest.mark.parametrize("lib", [torch, rushlight], ids=["torch", "rushlight"])
def test_programs_walk_through_the_graph_by_hand(lib):
    x, w = lib.tensor([1.0, 2.0], requires_grad=True), lib.tensor([3.0, 5.0], requires_grad=True)
    y = (x * w).sum()
    g = y.grad_fn(lib.tensor(2.0))
    assert g.tolist() == [2, 2]
    gx, gw = y.grad_fn.next_functions[0][0](g)
    assert gx.tolist() == [6, 10] and gw.tolist() == [2, 4]
    first, _ = x.unbind()
    assert first.grad_fn(lib.tensor(4.0), lib.tensor(5.0)).tolist() == [4, 5]

    class Scale(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.factor = factor
            return x * factor

        @staticmethod
        def backward(ctx, g):
            return g * ctx.factor, None

    g, none = Scale.apply(x, 3).grad_fn.apply(lib.ones(2))
    assert g.tolist() == [3, 3] and none is None


@pytest.mark.parametrize("lib", [torch, rushlight], ids=["torch", "rushlight"])
def test_calls_of_backward_can_be_watched(lib):
    x = lib.ones(2, requires_grad=True)
    whole = lib.autograd.backward
    with mock.patch.object(lib.autograd, "backward", wraps=whole) as watched:
        (x * 3).sum().backward()
        loss = (x * 2).sum()
        loss.backward(lib.tensor(5.0), retain_graph=True, inputs=[x])
    assert watched.call_count == 2 and x.grad.tolist() == [13, 13]
    loss.backward()
    assert watched.call_count == 2 and x.grad.tolist() == [15, 15]


@pytest.mark.parametrize("lib", [torch, rushlight])
@pytest.mark.parametrize("zeros", [True, False])
def test_absent_gradients_are_none_or_zeros(lib, zeros):
    seen = []

    class Both(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.set_materialize_grads(zeros)
            return x * 2, y * 3

        @staticmethod
        def backward(ctx, gx, gy):
            seen.extend([gx.item(), None if gy is None else gy.item()])
            return gx * 2, gy

    x, y = (lib.tensor(v, requires_grad=True) for v in (2.0, 3.0))
    Both.apply(x, y)[0].backward()
    assert seen == [1.0, 0.0 if zeros else None]
    assert x.grad.item() == 2.0 and (y.grad is None) is not zeros


@pytest.mark.parametrize("lib", [torch, rushlight], ids=["torch", "rushlight"])
def test_gradients_by_nothing(lib):
    with pytest.raises(RuntimeError, match="cannot be empty"):
        lib.autograd.grad(lib.ones(2, requires_grad=True).sum(), [])


def test_grad_of_a_computed_tensor_warns():
    def heard(lib):
        x = lib.ones(2, requires_grad=True)
        y, kept = x * 2, x * 3
        kept.retain_grad()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for t in (x, y, kept, y[0], x[0], y.detach(), lib.ones(2)):
                assert t.grad is None
            (y + kept).sum().backward()
            assert y.grad is None and kept.grad is not None and x.grad is not None
        return [str(w.message).split(" (Triggered")[0] for w in caught]

    assert heard(rushlight) == heard(torch)


def test_views_that_lost_their_history_have_no_grad_to_read():
    x = rushlight.ones(2, 3, requires_grad=True)
    with rushlight.no_grad():
        view = x[1:]
        x.add_(1)
    assert view.grad is None


@pytest.mark.parametrize("lib", [torch, rushlight], ids=["torch", "rushlight"])
def test_hooks_and_gradients_of_one_among_several_outputs(lib):
    """They share a node, and each has its own gradient."""
    x = lib.arange(4.0, requires_grad=True)
    y = x * 1
    a, b = y.split(2)
    seen = []
    a.register_hook(lambda g: seen.append(("a", g.tolist())))
    b.register_hook(lambda g: g * 10)
    a.retain_grad()
    b.retain_grad()
    (a.sum() * 2 + (b * b).sum()).backward()
    assert seen == [("a", [2.0, 2.0])]
    assert [a.grad.tolist(), b.grad.tolist()] == [[2.0, 2.0], [40.0, 60.0]]
    assert x.grad.tolist() == [2.0, 2.0, 40.0, 60.0]
    assert a.grad_fn is b.grad_fn


@pytest.mark.parametrize("written", [False, True], ids=["read", "written"])
def test_bounds_of_slices_are_what_they_were(written):
    """Programs walk through packed sequences with ``start += count``, which changes a tensor."""

    def program(lib):
        x = lib.arange(6.0).requires_grad_()
        out, parts = lib.zeros(6, 2), []
        start, count = lib.tensor(0), lib.tensor(2)
        for k in range(1, 4):
            part = x[start : start + count] * k
            if written:
                out[start : start + count, :1] = part.unsqueeze(1)
            parts.append(part)
            start += count
        (out if written else lib.cat(parts)).sum().backward()
        view = out.detach()[start - 4 : start - 2]
        start += 1
        view += 1
        return x.grad.tolist(), out.tolist()

    assert program(rushlight) == program(torch)


def calls(text):
    return [call.strip() for call in text.strip().replace("\n", ";").split(";") if call.strip()]


NUMBERS = """
    nn.functional.leaky_relu(x - 3, b); nn.functional.elu(x - 3, b); nn.functional.celu(x - 3, b)
    nn.functional.softplus(x - 3, b); nn.functional.softplus(x - 3, 1, b)
    nn.functional.hardtanh(x, -1, b); nn.functional.threshold(x, b, 0.0); threshold(x, 1.0, b)
    nn.functional.hardshrink(x, b); nn.functional.softshrink(x, b)
    nn.functional.smooth_l1_loss(x, x * 2, beta=b); nn.functional.huber_loss(x, x * 2, delta=b)
    nn.functional.scaled_dot_product_attention(y, y, y, scale=b)
    addcmul(x, x, x, value=b); addcdiv(x, x, x + 1, value=b); x.clone().addcmul_(x, x, value=b)
    add(x, x, alpha=b); sub(x, x * 3, alpha=b)
"""
FUNCTIONS = "nn threshold addcmul addcdiv add sub diag"
WHOLE = """
    x.unfold(0, b, 1); x.as_strided((b,), (1,)); x.as_strided((2,), (b,)); y.diagonal(b)
    diag(y, b); x.narrow(0, b, 2); x.roll(b); y.tril(b - 2); x.view(b, 3)
"""


@pytest.mark.parametrize("call", calls(NUMBERS + WHOLE))
def test_numbers_given_as_tensors_are_what_they_were(call):
    """They are written to between an operation and its gradient, as counters are."""
    found = []
    for lib in (rushlight, torch):
        b = lib.tensor(2 if call in WHOLE else 2.0)
        x = lib.arange(6.0).requires_grad_()
        scope = {name: getattr(lib, name) for name in FUNCTIONS.split()}
        out = eval(call, {**scope, "x": x, "y": x.view(2, 3), "b": b})
        b += 1
        (out * out).sum().backward()
        found.append(x.grad)
    assert torch.allclose(torch.tensor(found[0].tolist()), found[1])


@pytest.mark.parametrize("call", calls(NUMBERS))
def test_numbers_take_no_gradient(call):
    """A parameter in the place of a number would not learn."""
    for lib in (rushlight, torch):
        x, b = lib.arange(6.0), lib.nn.Parameter(lib.tensor(2.0))
        scope = {name: getattr(lib, name) for name in FUNCTIONS.split()}
        with pytest.raises(TypeError, match="must be"):
            eval(call, {**scope, "x": x, "y": x.view(2, 3), "b": b})


@LIBRARIES
def test_what_a_function_returns_that_is_no_tensor_is_passed_on(lib):
    class Named(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, wrap):
            return wrap(x * 2)

        @staticmethod
        def backward(ctx, g):
            return g * 2, None

    x = lib.ones(2, requires_grad=True)
    inside = Named.apply(x, lambda y: {"a": y})["a"]
    assert inside.tolist() == [2.0, 2.0] and not inside.requires_grad
    assert Named.apply(x, lambda y: "a") == "a"
