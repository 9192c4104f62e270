"""Softmax regression and perceptrons, by hand and with layers; dropout; vanishing gradients."""

import torch
from torch import nn

torch.manual_seed(0)
X = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
print(X.sum(0, keepdim=True), X.sum(1, keepdim=True))


def softmax(X):
    X_exp = X.exp()
    return X_exp / X_exp.sum(1, keepdim=True)


X = torch.rand((2, 5))
X_prob = softmax(X)
print(X_prob, X_prob.sum(1))
y = torch.tensor([0, 2])
y_hat = torch.tensor([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]])
print(y_hat[[0, 1], y])


def cross_entropy(y_hat, y):
    return -torch.log(y_hat[range(len(y_hat)), y])


print(cross_entropy(y_hat, y))


def accuracy(y_hat, y):
    if len(y_hat.shape) > 1 and y_hat.shape[1] > 1:
        y_hat = y_hat.argmax(axis=1)
    cmp = y_hat.type(y.dtype) == y
    return float(cmp.type(y.dtype).sum())


print(accuracy(y_hat, y) / len(y))
Xs = torch.randn(256, 1, 8, 8)
ys = torch.randint(0, 10, (256,))
print(ys[:20])
net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 10))


def init_weights(m):
    if type(m) == nn.Linear:
        nn.init.normal_(m.weight, std=0.01)


print(net.apply(init_weights))
loss = nn.CrossEntropyLoss(reduction="none")
tr = torch.optim.SGD(net.parameters(), lr=0.1)
for e in range(5):
    net.train()
    for i in range(0, 256, 32):
        l = loss(net(Xs[i : i + 32]), ys[i : i + 32])
        tr.zero_grad()
        l.mean().backward()
        tr.step()
    net.eval()
    print(e, loss(net(Xs), ys).mean().item(), accuracy(net(Xs), ys) / len(ys))
# activations
x = torch.arange(-8.0, 8.0, 2.0, requires_grad=True)
for f in (torch.relu, torch.sigmoid, torch.tanh):
    y = f(x)
    print(y)
    y.backward(torch.ones_like(x), retain_graph=True)
    print(x.grad)
    x.grad.data.zero_()
num_inputs, num_outputs, num_hiddens = 64, 10, 16
W1 = nn.Parameter(torch.randn(num_inputs, num_hiddens, requires_grad=True) * 0.01)
b1 = nn.Parameter(torch.zeros(num_hiddens, requires_grad=True))
W2 = nn.Parameter(torch.randn(num_hiddens, num_outputs, requires_grad=True) * 0.01)
b2 = nn.Parameter(torch.zeros(num_outputs, requires_grad=True))
params = [W1, b1, W2, b2]
print(b1)


def relu(X):
    a = torch.zeros_like(X)
    return torch.max(X, a)


def net(X):
    X = X.reshape((-1, num_inputs))
    H = relu(X @ W1 + b1)
    return H @ W2 + b2


u = torch.optim.SGD(params, lr=0.1)
for e in range(3):
    l = nn.functional.cross_entropy(net(Xs), ys)
    u.zero_grad()
    l.backward()
    u.step()
    print(l)


def dropout_layer(X, dropout):
    assert 0 <= dropout <= 1
    if dropout == 1:
        return torch.zeros_like(X)
    if dropout == 0:
        return X
    mask = (torch.rand(X.shape) > dropout).float()
    return mask * X / (1.0 - dropout)


X = torch.arange(16, dtype=torch.float32).reshape((2, 8))
print(dropout_layer(X, 0.0), dropout_layer(X, 0.5), dropout_layer(X, 1.0))
M = torch.normal(0, 1, size=(4, 4))
print("a single matrix \n", M)
for i in range(100):
    M = torch.mm(M, torch.normal(0, 1, size=(4, 4)))
print("after multiplying 100 matrices\n", M)
x = torch.arange(-8.0, 8.0, 0.1, requires_grad=True)
y = torch.sigmoid(x)
y.backward(torch.ones_like(x))
print(x.grad[:5], x.detach().numpy()[:5])
