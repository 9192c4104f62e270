"""A tour: tensors, a small network, its training, saving, and a loop without layers."""

from collections import OrderedDict

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

torch.manual_seed(0)
np.random.seed(0)
data = [[1, 2], [3, 4]]
x_data = torch.tensor(data)
np_array = np.array(data)
x_np = torch.from_numpy(np_array)
x_ones = torch.ones_like(x_data)
print(f"Ones Tensor: \n {x_ones} \n")
x_rand = torch.rand_like(x_data, dtype=torch.float)
print(f"Random Tensor: \n {x_rand} \n")
shape = (
    2,
    3,
)
print(
    f"Random Tensor: \n {torch.rand(shape)} \nOnes: \n {torch.ones(shape)} \nZeros \n {torch.zeros(shape)}"
)
tensor = torch.rand(3, 4)
print(
    f"Shape of tensor: {tensor.shape}\nDatatype of tensor: {tensor.dtype}\nDevice tensor is stored on: {tensor.device}"
)
if torch.cuda.is_available():
    tensor = tensor.to("cuda")
tensor = torch.ones(4, 4)
print(f"First row: {tensor[0]}")
print(f"First column: {tensor[:, 0]}")
print(f"Last column: {tensor[..., -1]}")
tensor[:, 1] = 0
print(tensor)
t1 = torch.cat([tensor, tensor, tensor], dim=1)
print(t1)
y1 = tensor @ tensor.T
y2 = tensor.matmul(tensor.T)
y3 = torch.rand_like(y1)
torch.matmul(tensor, tensor.T, out=y3)
z1 = tensor * tensor
print(y3, z1)
agg = tensor.sum()
agg_item = agg.item()
print(agg_item, type(agg_item))
print(f"{tensor} \n")
tensor.add_(5)
print(tensor)
t = torch.ones(5)
print(f"t: {t}")
n = t.numpy()
print(f"n: {n}")
t.add_(1)
print(f"t: {t}")
print(f"n: {n}")
n = np.ones(5)
t = torch.from_numpy(n)
np.add(n, 1, out=n)
print(f"t: {t}", f"n: {n}")
a = torch.tensor([2.0, 3.0], requires_grad=True)
b = torch.tensor([6.0, 4.0], requires_grad=True)
Q = 3 * a**3 - b**2
external_grad = torch.tensor([1.0, 1.0])
Q.backward(gradient=external_grad)
print(9 * a**2 == a.grad, -2 * b == b.grad)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, input):
        c1 = F.relu(self.conv1(input))
        s2 = F.max_pool2d(c1, (2, 2))
        c3 = F.relu(self.conv2(s2))
        s4 = F.max_pool2d(c3, 2)
        s4 = torch.flatten(s4, 1)
        f5 = F.relu(self.fc1(s4))
        f6 = F.relu(self.fc2(f5))
        return self.fc3(f6)


net = Net()
print(net)
params = list(net.parameters())
print(len(params), params[0].size())
input = torch.randn(1, 1, 32, 32)
out = net(input)
print(out)
net.zero_grad()
out.backward(torch.randn(1, 10))
output = net(input)
target = torch.randn(10).view(1, -1)
criterion = nn.MSELoss()
loss = criterion(output, target)
print(loss)
print(
    loss.grad_fn.name(),
)
net.zero_grad()
print("conv1.bias.grad before backward", net.conv1.bias.grad)
loss.backward()
print("conv1.bias.grad after backward", net.conv1.bias.grad)
for f in net.parameters():
    f.data.sub_(f.grad.data * 0.01)
optimizer = optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
classes = ("plane", "car", "bird", "cat")
for epoch in range(2):
    running_loss = 0.0
    for i in range(4):
        inputs, labels = torch.randn(4, 1, 32, 32), torch.randint(0, 10, (4,))
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = nn.CrossEntropyLoss()(outputs, labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
    print(f"[{epoch + 1}, {i + 1:5d}] loss: {running_loss / 2000:.6f}")
_, predicted = torch.max(outputs, 1)
print("Predicted: ", " ".join(f"{predicted[j].item():5d}" for j in range(4)))
print((predicted == labels).sum().item(), _)
torch.save(net.state_dict(), "./cifar_net.pth")
net2 = Net()
print(net2.load_state_dict(torch.load("./cifar_net.pth", weights_only=True)))
torch.save(net, "m.pt")
net3 = torch.load("m.pt", weights_only=False)
print((net3(input) == net(input)).all())
for param_tensor in net.state_dict():
    print(param_tensor, "\t", net.state_dict()[param_tensor].size())
for var_name in optimizer.state_dict():
    print(var_name, "\t", str(optimizer.state_dict()[var_name])[:200])
torch.save(
    {
        "epoch": 5,
        "model_state_dict": net.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "loss": loss,
    },
    "ck.tar",
)
ck = torch.load("ck.tar", weights_only=True)
optimizer.load_state_dict(ck["optimizer_state_dict"])
print(ck["epoch"], ck["loss"], list(ck))
try:
    nn.Linear(2, 3).load_state_dict({"weight": torch.zeros(3, 3), "foo": torch.zeros(1)})
except RuntimeError as e:
    print(e)
print(
    nn.Linear(2, 3).load_state_dict(
        {"weight": torch.zeros(3, 2), "foo": torch.zeros(1)}, strict=False
    )
)
m = nn.Sequential(
    OrderedDict([("conv1", nn.Conv2d(1, 20, 5)), ("relu1", nn.ReLU()), ("fl", nn.Flatten())])
)
print(m, m.conv1.weight.shape, m[0:2])
# nn tutorial
xb, yb = torch.rand(64, 784), torch.randint(0, 10, (64,))
import math

weights = torch.randn(784, 10) / math.sqrt(784)
weights.requires_grad_()
bias = torch.zeros(10, requires_grad=True)


def log_softmax(x):
    return x - x.exp().sum(-1).log().unsqueeze(-1)


def model(xb):
    return log_softmax(xb @ weights + bias)


preds = model(xb)
print(preds[0], preds.shape)


def nll(input, target):
    return -input[range(target.shape[0]), target].mean()


def accuracy(out, yb):
    preds = torch.argmax(out, dim=1)
    return (preds == yb).float().mean()


print(nll(preds, yb), accuracy(preds, yb))


class Mnist_Logistic(nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.randn(784, 10) / math.sqrt(784))
        self.bias = nn.Parameter(torch.zeros(10))

    def forward(self, xb):
        return xb @ self.weights + self.bias


m = Mnist_Logistic()
print(m, F.cross_entropy(m(xb), yb))


def fit():
    for _e in range(3):
        loss = F.cross_entropy(m(xb), yb)
        loss.backward()
        with torch.no_grad():
            for p in m.parameters():
                p -= p.grad * 0.5
            m.zero_grad()


fit()
print(F.cross_entropy(m(xb), yb))


class Lambda(nn.Module):
    def __init__(self, func):
        super().__init__()
        self.func = func

    def forward(self, x):
        return self.func(x)


mm = nn.Sequential(
    Lambda(lambda x: x.view(-1, 1, 28, 28)),
    nn.Conv2d(1, 4, 3, stride=2, padding=1),
    nn.ReLU(),
    nn.AdaptiveAvgPool2d(1),
    Lambda(lambda x: x.view(x.size(0), -1)),
)
print(mm(xb)[:2], mm)
