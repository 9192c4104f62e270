"""Programs in which rushlight once differed from torch, found by the fuzzer and cut down.

Each is a body that both libraries run; what it prints, or the built-in type of what it raises, is
compared.
"""

import contextlib
import io
import warnings

import pytest
import torch

import rushlight

FOUND = {
    "backward(inputs=) makes an inner tensor retain its gradient": """
        x = torch.ones(2, requires_grad=True)
        y = x * 2
        z = y * 3
        z.sum().backward(inputs=[y], retain_graph=True)
        z.sum().backward(retain_graph=True)
        print(y.grad, y.retains_grad, x.grad)
    """,
    "backward(inputs=) stops at the first input that does not require grad": """
        x = torch.ones(2, requires_grad=True)
        y, z = x * 2, torch.ones(2)
        try:
            y.sum().backward(inputs=[y, z])
        except RuntimeError:
            print(y.retains_grad)
    """,
    "backward(inputs=) accepts a view made under no_grad": """
        x = torch.ones(2, 2, requires_grad=True)
        y = x * 2
        with torch.no_grad():
            v = y[0]
        y.sum().backward(inputs=[v])
        print(v.grad, x.grad)
    """,
    "grad with nothing to find frees nothing": """
        x = torch.ones(2, requires_grad=True)
        y = x * x
        with torch.no_grad():
            v = y.squeeze()
        print(torch.autograd.grad(y.sum(), [v], allow_unused=True))
        y.sum().backward()
        print(x.grad)
    """,
    "requires_grad_() on a view that may not be written": """
        x = torch.ones(3, 3, requires_grad=True)
        a, b, c = x.unbind(0)
        with torch.no_grad():
            x += 1
        print(a.requires_grad_().requires_grad)
    """,
    "retain_grad() on a view made under no_grad": """
        x = torch.ones(2, 2, requires_grad=True)
        with torch.no_grad():
            v = x[0]
            x += 1
        print(v.retain_grad())
    """,
    "unbind of an empty dim": """
        x = torch.ones(3, requires_grad=True)
        print(len((x * 2)[:0].unbind(0)))
    """,
    "alpha does not change the dtype": """
        b = torch.tensor([True, False])
        print(torch.add(b, b, alpha=2))
        i = torch.tensor([1, 2])
        print(torch.add(i, torch.tensor([0.5, 1]), alpha=2.5))
        torch.add(i, i, alpha=2.0)
    """,
    "sub with alpha keeps nothing": """
        x = torch.ones(2, requires_grad=True)
        y = torch.sub(x, x, alpha=1.9)
        y.sum().backward()
        y.sum().backward()
        print(x.grad)
    """,
    "no difference of a number and a bool tensor": "torch.ones(2) - torch.tensor([True, False])",
    "cat of transposed tensors is contiguous": """
        x = torch.ones(2, 3).T
        print(torch.cat([x, x]).stride(), torch.stack([x, x]).stride())
    """,
    "ravel of expanded memory is a copy": """
        x = torch.ones(1).expand(2, 3)
        x.ravel()[0] = 5
        print(x)
    """,
    "reshape that copies is no view": """
        x = torch.ones(2, requires_grad=True).expand(2, 2)
        y = x.reshape(4)
        print(y._is_view(), y._base)
        y.copy_(y)
        y.sum().backward(retain_graph=True)
        (y[...] * 1).sum().backward()
    """,
    "flip of a size-1 dim is a copy": """
        x = torch.ones(1, 2)
        x.flip(0)[0, 0] = 5
        x.flip(())[0, 0] = 5
        print(x)
    """,
    "einsum sums a letter that broadcast": """
        print(torch.einsum("ij,jk->ki", torch.ones(2, 1), torch.ones(3, 4)))
    """,
    "masked_fill truncates to integers, and refuses what does not fit": """
        mask = torch.tensor([True, False])
        print(torch.tensor([1, 0]).masked_fill_(mask, -1.5))
        torch.tensor([1, 0], dtype=torch.uint8).masked_fill(mask, 300)
    """,
    "index_put wants one dtype": """
        x = torch.zeros(2)
        x[torch.tensor([0])] = torch.tensor(1.5, dtype=torch.float64)
    """,
    "floor_divide has a gradient that raises": """
        y = torch.ones(2, requires_grad=True) // 2
        print(y.requires_grad)
        y.sum().backward()
    """,
    "tril and roll of transposed tensors are contiguous": """
        x = torch.ones(2, 3).T
        print(x.tril().stride(), x.triu().stride(), x.roll(1, 0).stride())
    """,
    "softmax of a number": """
        x = torch.tensor(2.0, requires_grad=True)
        y = x.softmax(0) + x.log_softmax(0)
        y.backward()
        print(y, x.grad)
    """,
    "lerp of bool tensors": """
        b = torch.tensor([True])
        torch.lerp(b, b, b)
    """,
    "no negative integer power of integers": "torch.tensor(3) ** -1",
    "second derivatives of functions that keep their result": """
        x = torch.tensor([0.3, -0.7], dtype=torch.float64, requires_grad=True)
        for f in (torch.tanh, torch.sigmoid, torch.exp, torch.sqrt, torch.tan, torch.rsqrt):
            (g,) = torch.autograd.grad((f(x.abs()) ** 2).sum(), x, create_graph=True)
            print(torch.autograd.grad((g ** 2).sum(), x)[0].tolist()[0].__round__(9))
    """,
    "cat with an empty vector requires grad": """
        x = torch.ones(0, requires_grad=True)
        print(torch.cat([torch.ones(2), x]).requires_grad, torch.cat([x, x]).requires_grad)
        print(torch.cat([x, torch.ones(2, 3)], 1).requires_grad)
    """,
    "copy_ of the same window of expanded memory": """
        x = torch.ones(1).expand(2, 3)
        x.squeeze().copy_(x)
    """,
    "a number divided by a tensor keeps the result": """
        x = torch.tensor([2.0, 4.0], requires_grad=True) * 1
        y = 0.5 / x
        x.mul_(y)
        y.sum().backward()
        print(x, y)
    """,
    "backward(inputs=) refreshes a stale view": """
        x, y = torch.ones(2), torch.ones(2, requires_grad=True)
        v = x[:1]
        x.copy_(x + 1)
        x.requires_grad_()
        (y * 2).sum().backward(inputs=[y, v])
        print(v.retains_grad)
    """,
    "grad of a tensor with a hook": """
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        y = x * 3
        y.register_hook(lambda g: g * 2)
        print(torch.autograd.grad((y * y).sum(), [x, y], retain_graph=True))
        print(torch.autograd.grad((y * y).sum(), [y]))
    """,
    "as_strided of expanded memory": """
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        y = x.expand(3, 2).as_strided((2, 2), (1, 1))[0]
        (y * torch.tensor([2.0, 5.0])).sum().backward()
        print(x.grad)
        z = x.as_strided((2, 2), (1, 0)).as_strided((2, 1), (1, 1))
        print(torch.autograd.grad(z.sum(), x))
    """,
    "fill_ from its own memory": """
        x = torch.tensor(2.0)
        print(x.unsqueeze(0).fill_(x))
    """,
    "order of complaints of stack": "torch.stack([torch.ones(()), torch.ones(1)], 1)",
    "a new dim of size 1 does not count as expanded": """
        x = torch.ones(2, 3).T.unsqueeze(1)
        for y in (x.clone(), x.int(), x.int() / 2, torch.zeros_like(x)):
            print(y.squeeze(1).stride())
    """,
    "halves are compared with numbers as halves": """
        x = torch.tensor([0.1, 0.3], dtype=torch.float16)
        for y in (x, x.bfloat16()):
            print(y == 0.1, y < 0.1, y >= 0.3, y == torch.tensor(0.1, dtype=torch.float64))
    """,
    "rounding integers keeps their layout": """
        x = torch.ones(2, 3, dtype=torch.int64).T
        print(x.round().stride(), x.floor().stride(), x.trunc().stride(), x.ceil().stride())
        print((x > 0).sign().stride())
        x = torch.ones(2, dtype=torch.int64).expand(3, 2)
        print(x.round().stride(), x.nan_to_num().stride())
    """,
    "cumsum of a number is no view": """
        x = torch.ones((), requires_grad=True)
        with torch.no_grad():
            y, z, w = x.cumsum(0), x.sort().values, x.min(0).values
        y.copy_(x)
        print(y, y._is_view(), z._is_view(), w._is_view())
    """,
    "the gradient of x ** 0 is a plain zero": """
        x = torch.tensor([2.0, float("inf")], requires_grad=True)
        (g,) = torch.autograd.grad((x**0).sum(), x, create_graph=True)
        print(g.detach(), g.requires_grad)
    """,
    "equal values have no variance": """
        x = torch.full((3, 7), 0.2, dtype=torch.float64)
        print(x.var(), x.std(1), x.float().std(0), torch.full((5,), 0.1 + 0.3j).std())
    """,
    "retain_grad() again on a view that may not be written": """
        x = torch.ones(3, requires_grad=True)
        a, b, c = (x * 1).split(1)
        a.retain_grad()
        with torch.no_grad():
            a.mul_(2)
        print(a.retain_grad())
    """,
    "hooks of what a write replaced, when nothing there is asked for": """
        x = torch.ones(3, requires_grad=True) * 2
        x.register_hook(lambda g: print("x", g))
        y = x[torch.tensor([0, 1])]
        x[:2][1] = y.sum()
        print(torch.autograd.grad((x * x).sum(), [y]))
    """,
    "writing through as_strided when the gradient arrives in another order": """
        for dims in ((0, 1), (1, 0)):
            x = torch.arange(6.0).reshape(2, 3).requires_grad_()
            y = x.permute(dims).square()
            y.as_strided((2, 2), (3, 1), 0)[..., 0] = -1.2
            y.permute(1, 0).mean().backward()
            print(x.grad)
            x.grad = None
            z = x.permute(dims).square()
            z.as_strided((2,), (2,), 1).mul_(3)
            (z.T * torch.arange(6.0).reshape(z.T.shape)).sum().backward()
            print(x.grad)
    """,
    "a complex loss needs a gradient": """
        x = torch.tensor([1 + 2j], requires_grad=True)
        x.sum().backward()
    """,
    "writing to all of a tensor is not a write to a view": """
        x = torch.ones((), requires_grad=True)
        y = x * 2
        y[...] = y
        y.view(-1).sum().backward()
        (y.view(-1) * 1).sum().backward()
        print(x.grad)
    """,
    "conversion of expanded memory is contiguous": """
        x = torch.ones(1, 2, 2).expand(3, 2, 2)
        print(x.int().stride(), x.double().stride(), x.half().stride())
    """,
    "out= of an empty expanded tensor": """
        out = torch.ones(3, 1)[:, :0].expand(3, 0)
        print(torch.add(torch.ones(3, 0), 1, out=out).shape)
    """,
    "out= of another dtype for matmul": """
        x = torch.ones(3)
        torch.matmul(x, x, out=torch.zeros((), dtype=torch.float64))
    """,
    "hooks of where backward starts always run": """
        x, y = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
        a, b = x * 2, y * 2
        a.register_hook(lambda g: print("a", g))
        a.sum().backward(inputs=[b], retain_graph=True)
        a.backward(torch.ones(2), inputs=[b])
        x.register_hook(lambda g: print("x", g))
        x.backward(torch.ones(2), inputs=[b])
        print(x.grad, b.grad)
    """,
    "a view that is written retains no gradient of what it was": """
        x = torch.ones(3, requires_grad=True)
        a = x * 2
        b, c = a.view(-1), a.view(-1)
        b.retain_grad(), c.retain_grad()
        b.copy_(torch.ones(3))
        (a * 3 + b).sum().backward(retain_graph=True)
        print(b.grad, c.grad, x.grad)
        y = x * 3
        v, w = y.view(-1), y.view(-1)
        v.retain_grad(), w.retain_grad()
        z = v.sum() + w.sum()
        v.copy_(torch.ones(3))
        z.backward()
        print(v.grad, w.grad, x.grad)
    """,
    "hooks of a sibling run": """
        x = torch.ones(2, requires_grad=True)
        a, b = x.split(1)
        b.register_hook(lambda g: print("b", g) if g is not None else None)
        print(torch.autograd.grad((b * b).sum(), [a], allow_unused=True))
    """,
}


def outcome(lib, program):
    """What it prints, and the built-in type of what it raises."""
    lines = program.strip("\n").split("\n")
    indent = len(lines[0]) - len(lines[0].lstrip())
    printed, error = io.StringIO(), None
    with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        warnings.simplefilter("ignore")
        try:
            exec("\n".join(line[indent:] for line in lines), {"torch": lib})
        except (RuntimeError, IndexError, ValueError, TypeError) as raised:
            builtin = (RuntimeError, IndexError, ValueError, TypeError)
            error = next(kind for kind in builtin if isinstance(raised, kind))
    return printed.getvalue(), error


@pytest.mark.parametrize("name", FOUND)
def test_program(name):
    assert outcome(rushlight, FOUND[name]) == outcome(torch, FOUND[name])
