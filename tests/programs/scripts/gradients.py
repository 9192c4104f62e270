"""Gradients, graphs, hooks, and functions with rules of their own."""

import torch

x = torch.arange(4.0)
print(x)
x.requires_grad_(True)
print(x.grad)
y = 2 * torch.dot(x, x)
print(y)
y.backward()
print(x.grad)
print(x.grad == 4 * x)
x.grad.zero_()
y = x.sum()
y.backward()
print(x.grad)
x.grad.zero_()
y = x * x
print(y)
y.backward(gradient=torch.ones(len(y)))
print(x.grad)
x.grad.zero_()
y = x * x
u = y.detach()
z = u * x
z.sum().backward()
print(x.grad == u)
x.grad.zero_()
y.sum().backward()
print(x.grad == 2 * x)


def f(a):
    b = a * 2
    while b.norm() < 1000:
        b = b * 2
    if b.sum() > 0:
        c = b
    else:
        c = 100 * b
    return c


torch.manual_seed(3)
a = torch.randn(size=(), requires_grad=True)
d = f(a)
d.backward()
print(a.grad == d / a, a, d)
try:
    d.backward()
except RuntimeError:
    print("RuntimeError")
a = torch.tensor([1.0, 2.0], requires_grad=True)
try:
    (a * a).backward()
except RuntimeError as e:
    print("grad can be implicitly created" in str(e))
try:
    a += 1
except RuntimeError as e:
    print("leaf" in str(e))
with torch.no_grad():
    a += 1
print(a, a.is_leaf, a.requires_grad)
b = a * 3
print(b.grad_fn.name(), b.requires_grad, b.is_leaf)
print(len(b.grad_fn.next_functions))
print(
    [
        t.grad_fn.name()
        for t in (
            b.sum(),
            b.view(2, 1),
            b.exp(),
            b @ b,
            b.relu(),
            torch.cat([b, b]),
            b[0],
            b.mean(),
        )
    ]
)
g = torch.autograd.grad((a**3).sum(), a, create_graph=True)[0]
print(g)
g2 = torch.autograd.grad(g.sum(), a)[0]
print(g2)
print(
    torch.autograd.functional.jacobian(lambda x: x**2, torch.arange(3.0)),
    torch.autograd.functional.hessian(lambda x: (x**3).sum(), torch.arange(3.0)),
)
h = a.register_hook(lambda g: g * 10)
(a.sum()).backward()
print(a.grad)
h.remove()
c = a * 2
c.retain_grad()
(c**2).sum().backward()
print(c.grad)
print(c.detach().requires_grad, torch.is_grad_enabled())
with torch.no_grad():
    print((a * 2).requires_grad, torch.is_grad_enabled())


@torch.no_grad()
def g():
    return a * 2


print(g().requires_grad)
with torch.inference_mode():
    print(torch.is_inference_mode_enabled())


class MyReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return input.clamp(min=0)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[input < 0] = 0
        return grad_input


x = torch.randn(5, requires_grad=True)
y = MyReLU.apply(x)
print(y)
y.sum().backward()
print(x.grad)


class LegendrePolynomial3(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return 0.5 * (5 * input**3 - 3 * input)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        return grad_output * 1.5 * (5 * input**2 - 1)


import math

dtype = torch.float
device = torch.device("cpu")
x = torch.linspace(-math.pi, math.pi, 2000, device=device, dtype=dtype)
y = torch.sin(x)
a = torch.full((), 0.0, device=device, dtype=dtype, requires_grad=True)
b = torch.full((), -1.0, device=device, dtype=dtype, requires_grad=True)
c = torch.full((), 0.0, device=device, dtype=dtype, requires_grad=True)
d = torch.full((), 0.3, device=device, dtype=dtype, requires_grad=True)
learning_rate = 5e-6
for t in range(400):
    P3 = LegendrePolynomial3.apply
    y_pred = a + b * P3(c + d * x)
    loss = (y_pred - y).pow(2).sum()
    if t % 100 == 99:
        print(t, loss.item())
    loss.backward()
    with torch.no_grad():
        a -= learning_rate * a.grad
        b -= learning_rate * b.grad
        c -= learning_rate * c.grad
        d -= learning_rate * d.grad
        a.grad = None
        b.grad = None
        c.grad = None
        d.grad = None
print(f"Result: y = {a.item()} + {b.item()} * P3({c.item()} + {d.item()} x)")
print(
    torch.autograd.gradcheck(
        MyReLU.apply, (torch.randn(4, dtype=torch.double, requires_grad=True),)
    )
)
