"""Operators that programs define, in both libraries."""

import numpy as np
import pytest
import torch

import rushlight

LIBRARIES = pytest.mark.parametrize("lib", [torch, rushlight])


def sine(lib, name):
    """An operator that computes with NumPy."""

    def kernel(x):
        return lib.from_numpy(np.sin(x.numpy(force=True)))

    kernel.__annotations__ = {"x": lib.Tensor, "return": lib.Tensor}
    return lib.library.custom_op(f"tests::{name}", kernel, mutates_args=())


@LIBRARIES
def test_gradients_are_those_that_are_registered(lib):
    op = sine(lib, "sine")
    x = lib.tensor([0.0, 1.0], requires_grad=True)
    assert lib.allclose(lib.ops.tests.sine(x.detach()), x.detach().sin())
    assert op(x).requires_grad and "tests_sine" in op(x).grad_fn.name()
    with pytest.raises(RuntimeError, match="no autograd formula"):
        op(x).sum().backward()

    needs = []

    def setup_context(ctx, inputs, output):
        needs.append(ctx.needs_input_grad)
        ctx.save_for_backward(*inputs)

    op.register_autograd(lambda ctx, g: g * ctx.saved_tensors[0].cos(), setup_context=setup_context)
    lib.ops.tests.sine.default(x).sum().backward()
    assert lib.allclose(x.grad, x.detach().cos()) and needs[0][0] is True
    with pytest.raises(RuntimeError):
        op(lib.ones(2, device="meta"))
    op.register_fake(lib.empty_like)
    assert op(lib.ones(2, device="meta")).is_meta
    assert set(lib.library.opcheck(op, (lib.rand(3),)).values()) == {"SUCCESS"}


@LIBRARIES
def test_arguments_follow_the_schema(lib):
    def scale(xs, by=2.0, shift=None):
        return xs[0] * by + (shift or 0), xs[-1] * 3

    t = lib.Tensor
    scale.__annotations__ = {
        "xs": list[t], "by": float, "shift": int | None, "return": tuple[t, t],
    }  # fmt: skip
    assert lib.library.infer_schema(scale, mutates_args=()) == (
        "(Tensor[] xs, float by=2.0, SymInt? shift=None) -> (Tensor, Tensor)"
    )
    scale.__annotations__["by"] = lib.types.Number
    assert "Scalar by=2.0," in lib.library.infer_schema(scale, mutates_args=())
    scale.__annotations__["by"] = float
    op = lib.library.custom_op("tests::scale", scale, mutates_args=())
    x = lib.ones(2, requires_grad=True)
    op.register_autograd(lambda ctx, g, h: ([g * 2, h * 3], None, None))
    a, b = op([x, x], shift=1)
    (a + b).sum().backward()
    assert a.tolist() == [3.0, 3.0] and x.grad.tolist() == [5.0, 5.0]
    for wrong in (lambda: op(), lambda: op([x], 1.0, 2, 3), lambda: op([x], nothing=1)):
        with pytest.raises((RuntimeError, TypeError)):
            wrong()

    def by_name(x, *, n=2):
        return x * n

    by_name.__annotations__ = {"x": t, "n": int, "return": t}
    op = lib.library.custom_op("tests::by_name", by_name, mutates_args=())
    assert op(lib.ones(1), n=3).item() == 3 and op(lib.ones(1)).item() == 2
    with pytest.raises(ValueError, match="type annotation"):
        lib.library.custom_op("tests::bare", lambda x: x, mutates_args=())
    with pytest.raises(AttributeError):
        lib.ops.tests.nothing


@LIBRARIES
def test_writes_are_declared(lib):
    def add_one(x):
        x.add_(1)

    add_one.__annotations__ = {"x": lib.Tensor, "return": None}
    op = lib.library.custom_op("tests::add_one", add_one, mutates_args={"x"})
    x = lib.zeros(2)
    assert op(x) is None and x.tolist() == [1.0, 1.0] and x._version == 2
    with pytest.raises(RuntimeError):
        op.register_autograd(lambda ctx: None)

    def same(x):
        return x

    same.__annotations__ = {"x": lib.Tensor, "return": lib.Tensor}
    with pytest.raises(RuntimeError, match="must not also be an input"):
        lib.library.custom_op("tests::same", same, mutates_args=())(x)
    quiet = lib.library.custom_op("tests::quiet", add_one, mutates_args=())
    with pytest.raises(Exception, match="mutated"):
        lib.library.opcheck(quiet, (x,))


@LIBRARIES
def test_libraries_define_and_implement_apart(lib):
    made = lib.library.Library("tests_apart", "DEF")
    made.define("times(Tensor x, int n=2) -> Tensor")
    made.impl("times", lambda x, n=2: x * n, "CPU")
    assert lib.ops.tests_apart.times(lib.ones(2), n=3).tolist() == [3.0, 3.0]
    lib.library.define("tests_apart::sine", "(Tensor x) -> Tensor")
    lib.library.impl("tests_apart::sine", "cpu")(lambda x: x.sin())
    lib.library.register_fake("tests_apart::sine", lambda x: lib.empty_like(x))
    lib.library.register_autograd("tests_apart::sine", lambda ctx, g: g * 5)
    x = lib.ones(2, requires_grad=True)
    lib.ops.tests_apart.sine(x).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]
    assert lib.ops.tests_apart.sine(x.to("meta")).is_meta


@LIBRARIES
def test_writes_to_what_has_a_gradient_are_not_recorded(lib):
    def add_to(x, out):
        out.add_(x)

    add_to.__annotations__ = {"x": lib.Tensor, "out": lib.Tensor, "return": None}
    op = lib.library.custom_op("tests::add_to", add_to, mutates_args=("out",))
    w, out = lib.ones(2, requires_grad=True), lib.zeros(2)
    assert op(w, out) is None and out.tolist() == [1, 1] and not out.requires_grad
    y = w * 2
    op(lib.ones(2), y)
    assert y.tolist() == [3, 3] and "Mul" in y.grad_fn.name()
    y.sum().backward()
    assert w.grad.tolist() == [2, 2]
    op(lib.ones(2), w)
    assert w.tolist() == [2, 2]


@LIBRARIES
def test_operators_of_a_library_return_their_argument_and_are_recorded(lib):
    made = lib.library.Library("tests_recorded", "DEF")
    made.define("add_to_(Tensor(a!) self, Tensor x) -> Tensor(a!)")
    made.impl("add_to_", lambda self, x: self.add_(x), "CompositeExplicitAutograd")
    made.define("into(Tensor x, *, Tensor(a!) out) -> Tensor(a!)")
    made.impl("into", lambda x, *, out: out.copy_(x * 2), "CPU")
    made.define("flat(Tensor(a) x) -> Tensor(a)")
    made.impl("flat", lambda x: x.view(-1), "CompositeImplicitAutograd")
    ops, a, out = lib.ops.tests_recorded, lib.ones(2, 2), lib.zeros(2, 2)
    assert ops.add_to_(a, a) is a and a._version == 1 and a.sum().item() == 8
    assert ops.add_to_(self=a, x=a).sum().item() == 16
    assert ops.into(a, out=out) is out and out.sum().item() == 32
    ops.flat(a).zero_()
    assert a.sum().item() == 0
    x = lib.ones(2, 2, requires_grad=True)
    (ops.flat(x) * 3).sum().backward()
    assert x.grad.tolist() == [[3, 3], [3, 3]]
    with pytest.raises(RuntimeError):
        made.define("flat(Tensor x) -> Tensor")
    with pytest.raises(ValueError):
        lib.library.Library("prim", "DEF")


@LIBRARIES
@pytest.mark.parametrize("wrong", ["name", "string", "number", "silence", "schema"])
def test_what_is_said_of_an_operator_is_checked(lib, wrong):
    def kernel(x, n):
        return x + n

    kernel.__annotations__ = {"x": lib.Tensor, "n": int, "return": lib.Tensor}
    mutates = {"name": ("y",), "string": "x", "number": ("n",)}.get(wrong, ())
    options = {"schema": "(Tensor(a!) x, int n) -> Tensor"} if wrong == "schema" else {}
    if wrong == "silence":
        del kernel.__annotations__["return"]
    with pytest.raises(ValueError):
        lib.library.custom_op(f"tests::wrong_{wrong}", kernel, mutates_args=mutates, **options)


@LIBRARIES
def test_operators_of_the_library(lib):
    x = lib.ones(2, 2)
    assert lib.ops.aten.mm.default(x, x).tolist() == [[2.0, 2.0], [2.0, 2.0]]
    assert lib.ops.aten.add.Tensor(x, 2).sum() == 12 and lib.ops.aten.relu(-x).sum() == 0
    with pytest.raises(AttributeError):
        lib.ops.aten.no_such_thing


@LIBRARIES
def test_convolutions_as_cudnn_takes_them(lib):
    x, w = lib.ones(1, 2, 4, 4), lib.ones(3, 2, 3, 3)
    place = [1, 1], [0, 0], [1, 1], False, [0, 0], 1
    y = lib.ops.aten._convolution.default(x, w, None, *place, False, False, True, True)
    assert y.shape == (1, 3, 2, 2) and bool((y == 18).all())


@LIBRARIES
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("alias", ()), ("slice.Tensor", (0, 1, 3)), ("slice.Tensor", (-1, 0, 2, 2)),
        ("_to_copy", ()), ("_local_scalar_dense", ()), ("relu.default", ()),
    ],
)  # fmt: skip
def test_names_without_a_function(lib, name, arguments):
    numbers = [[2.0]] if "scalar" in name else [[-1.0, 2.0], [3.0, -4.0], [5.0, 6.0]]
    results = []
    for framework in (torch, lib):
        op = framework.ops.aten
        for part in name.split("."):
            op = getattr(op, part)
        results.append(op(framework.tensor(numbers), *arguments))
    assert str(results[0]) == str(results[1])


@LIBRARIES
def test_rules_for_vmap_give_what_the_kernel_gives(lib):
    op = sine(lib, "mapped_sine")

    def rule(info, in_dims, x):
        return lib.from_numpy(np.sin(x.numpy(force=True))), in_dims[0]

    lib.library.register_vmap("tests::mapped_sine")(rule)
    lib.library.register_vmap(op, rule)
    op.register_vmap(rule)
    x = lib.arange(12.0).reshape(6, 2)
    assert lib.allclose(lib.vmap(op)(x), x.sin())


@LIBRARIES
def test_operators_have_tags(lib):
    tags = lib.Tag.pt2_compliant_tag, lib.Tag.needs_fixed_stride_order
    assert repr(tags[0]) == "<Tag.pt2_compliant_tag: 17>" and str(tags[1]).startswith("Tag.needs")

    def kernel(x):
        return x.clone()

    kernel.__annotations__ = {"x": lib.Tensor, "return": lib.Tensor}
    op = lib.library.custom_op("tests::tagged", kernel, mutates_args=(), tags=tags)
    assert op(lib.ones(2)).tolist() == [1, 1]
    assert repr(lib.library.Library("tests", "FRAGMENT")).startswith("Library(kind=FRAGMENT, ns=t")


@LIBRARIES
def test_functions_that_may_call_kernels_of_triton_are_operators_too(lib):
    def add_one(x):
        return x + 1

    add_one.__annotations__ = {"x": lib.Tensor, "return": lib.Tensor}
    op = lib.library.triton_op("tests::add_one", add_one, mutates_args=())
    op.register_autograd(lambda ctx, g: g * 3)
    x = lib.zeros(2, requires_grad=True)
    op(x).sum().backward()
    assert lib.ops.tests.add_one(x.detach()).tolist() == [1.0, 1.0]
    assert x.grad.tolist() == [3.0, 3.0]


@LIBRARIES
def test_overloads(lib):
    library = lib.library.Library(f"overloads_{lib.__name__}", "DEF")
    assert library.define("plus(Tensor x) -> Tensor") == "plus"
    assert library.define("plus.number(Tensor x, float by) -> Tensor") == "plus"
    assert library.define("plus.tensor(Tensor x, Tensor by) -> Tensor") == "plus"
    with pytest.raises(RuntimeError, match="with the same name"):
        lib.library.define(f"{library.ns}::plus.number", "(Tensor x) -> Tensor")
    ops = getattr(lib.ops, library.ns)
    library.impl("plus", lambda x: x + 1, "CPU")
    library.impl("plus.number", lambda x, by: x + 10 * by, "CompositeExplicitAutograd")
    library.impl(ops.plus.tensor, lambda x, by: x + 100 * by, "CPU")
    x = lib.ones(2)
    found = [ops.plus(x), ops.plus(x, 2.0), ops.plus(x, by=3.0), ops.plus(x, x)]
    assert [t[0].item() for t in found] == [2, 21, 31, 101]
    assert ops.plus.number(x, 1.0)[0] == 11 and ops.plus.default(x)[0] == 2
    assert ops.plus.overloads() == ["default", "number", "tensor"]
    assert str(ops.plus.number) == f"{library.ns}.plus.number"
    with pytest.raises(RuntimeError, match="failed to match any schema"):
        ops.plus(x, x, x)
    with pytest.raises(AttributeError, match="no overload name 'other'"):
        _ = ops.plus.other


@LIBRARIES
def test_kernels_are_replaced_if_that_is_allowed(lib):
    library = lib.library.Library(f"replaced_{lib.__name__}", "DEF")
    other = lib.library.Library(library.ns, "FRAGMENT")
    library.define("plus(Tensor x) -> Tensor")
    ops = getattr(lib.ops, library.ns)
    library.impl("plus", lambda x: x + 1, "CPU", allow_override=False)
    for again in (library, other):
        with pytest.raises(RuntimeError, match="already a kernel registered"):
            again.impl("plus", lambda x: x + 2, "CPU", allow_override=False)
    assert ops.plus(lib.ones(1)).item() == 2
