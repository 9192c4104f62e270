"""Convolutional networks: blocks of LeNet, VGG, NiN, GoogLeNet, ResNet and DenseNet."""

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)


def corr2d(X, K):
    h, w = K.shape
    Y = torch.zeros((X.shape[0] - h + 1, X.shape[1] - w + 1))
    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            Y[i, j] = (X[i : i + h, j : j + w] * K).sum()
    return Y


X = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]])
K = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
print(corr2d(X, K))
X = torch.ones((6, 8))
X[:, 2:6] = 0
print(X)
K = torch.tensor([[1.0, -1.0]])
Y = corr2d(X, K)
print(Y, corr2d(X.t(), K))
conv2d = nn.Conv2d(1, 1, kernel_size=(1, 2), bias=False)
X = X.reshape((1, 1, 6, 8))
Y = Y.reshape((1, 1, 6, 7))
lr = 3e-2
for i in range(10):
    Y_hat = conv2d(X)
    l = (Y_hat - Y) ** 2
    conv2d.zero_grad()
    l.sum().backward()
    conv2d.weight.data[:] -= lr * conv2d.weight.grad
    if (i + 1) % 2 == 0:
        print(f"epoch {i + 1}, loss {l.sum():.3f}")
print(conv2d.weight.data.reshape((1, 2)))
c = nn.LazyConv2d(1, kernel_size=(3, 5), padding=(0, 1), stride=(3, 4))
print(c, c(torch.rand(1, 1, 8, 8)).shape, c)


def corr2d_multi_in(X, K):
    return sum(corr2d(x, k) for x, k in zip(X, K, strict=False))


def corr2d_multi_in_out(X, K):
    return torch.stack([corr2d_multi_in(X, k) for k in K], 0)


X = torch.tensor(
    [
        [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]],
        [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]],
    ]
)
K = torch.tensor([[[0.0, 1.0], [2.0, 3.0]], [[1.0, 2.0], [3.0, 4.0]]])
K = torch.stack((K, K + 1, K + 2), 0)
print(K.shape, corr2d_multi_in_out(X, K))
X = torch.arange(16, dtype=torch.float32).reshape((1, 1, 4, 4))
print(
    nn.MaxPool2d(3)(X), nn.MaxPool2d((2, 3), stride=(2, 3), padding=(0, 1))(X), nn.AvgPool2d(2)(X)
)


def layer_summary(net, X_shape):
    X = torch.randn(*X_shape)
    for layer in net:
        X = layer(X)
        print(layer.__class__.__name__, "output shape:\t", X.shape)


def init_cnn(module):
    if type(module) == nn.Linear or type(module) == nn.Conv2d:
        nn.init.xavier_uniform_(module.weight)


lenet = nn.Sequential(
    nn.LazyConv2d(6, kernel_size=5, padding=2),
    nn.Sigmoid(),
    nn.AvgPool2d(kernel_size=2, stride=2),
    nn.LazyConv2d(16, kernel_size=5),
    nn.Sigmoid(),
    nn.AvgPool2d(kernel_size=2, stride=2),
    nn.Flatten(),
    nn.LazyLinear(120),
    nn.Sigmoid(),
    nn.LazyLinear(84),
    nn.Sigmoid(),
    nn.LazyLinear(10),
)
layer_summary(lenet, (1, 1, 28, 28))
lenet.apply(init_cnn)
print(lenet)


def train(net, shape, n=4, classes=10, lr=0.1, opt=None):
    X = torch.randn(n, *shape)
    y = torch.randint(0, classes, (n,))
    o = torch.optim.SGD(net.parameters(), lr=lr) if opt is None else opt(net.parameters())
    for _e in range(3):
        net.train()
        o.zero_grad()
        l = F.cross_entropy(net(X), y)
        l.backward()
        o.step()
        print("loss", l.item())
    net.eval()
    with torch.no_grad():
        print(net(X).shape)


train(lenet, (1, 28, 28))


def vgg_block(num_convs, out_channels):
    layers = []
    for _ in range(num_convs):
        layers.append(nn.LazyConv2d(out_channels, kernel_size=3, padding=1))
        layers.append(nn.ReLU())
    layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(*layers)


vgg = nn.Sequential(
    vgg_block(1, 4),
    vgg_block(2, 8),
    nn.Flatten(),
    nn.LazyLinear(16),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.LazyLinear(10),
)
layer_summary(vgg, (1, 1, 16, 16))
train(vgg, (1, 16, 16))


def nin_block(out_channels, kernel_size, strides, padding):
    return nn.Sequential(
        nn.LazyConv2d(out_channels, kernel_size, strides, padding),
        nn.ReLU(),
        nn.LazyConv2d(out_channels, kernel_size=1),
        nn.ReLU(),
        nn.LazyConv2d(out_channels, kernel_size=1),
        nn.ReLU(),
    )


nin = nn.Sequential(
    nin_block(8, 5, 2, 0),
    nn.MaxPool2d(3, stride=2),
    nn.Dropout(0.5),
    nin_block(10, 3, 1, 1),
    nn.AdaptiveAvgPool2d((1, 1)),
    nn.Flatten(),
)
layer_summary(nin, (1, 1, 28, 28))
train(nin, (1, 28, 28))


class Inception(nn.Module):
    def __init__(self, c1, c2, c3, c4, **kwargs):
        super().__init__(**kwargs)
        self.b1_1 = nn.LazyConv2d(c1, kernel_size=1)
        self.b2_1 = nn.LazyConv2d(c2[0], kernel_size=1)
        self.b2_2 = nn.LazyConv2d(c2[1], kernel_size=3, padding=1)
        self.b3_1 = nn.LazyConv2d(c3[0], kernel_size=1)
        self.b3_2 = nn.LazyConv2d(c3[1], kernel_size=5, padding=2)
        self.b4_1 = nn.MaxPool2d(kernel_size=3, stride=1, padding=1)
        self.b4_2 = nn.LazyConv2d(c4, kernel_size=1)

    def forward(self, x):
        b1 = F.relu(self.b1_1(x))
        b2 = F.relu(self.b2_2(F.relu(self.b2_1(x))))
        b3 = F.relu(self.b3_2(F.relu(self.b3_1(x))))
        b4 = F.relu(self.b4_2(self.b4_1(x)))
        return torch.cat((b1, b2, b3, b4), dim=1)


g = nn.Sequential(
    Inception(4, (4, 8), (2, 4), 4),
    nn.MaxPool2d(3, stride=2, padding=1),
    Inception(4, (4, 8), (2, 4), 4),
    nn.AdaptiveAvgPool2d((1, 1)),
    nn.Flatten(),
    nn.LazyLinear(10),
)
train(g, (1, 12, 12))
print(g)


def batch_norm(X, gamma, beta, moving_mean, moving_var, eps, momentum):
    if not torch.is_grad_enabled():
        X_hat = (X - moving_mean) / torch.sqrt(moving_var + eps)
    else:
        assert len(X.shape) in (2, 4)
        if len(X.shape) == 2:
            mean = X.mean(dim=0)
            var = ((X - mean) ** 2).mean(dim=0)
        else:
            mean = X.mean(dim=(0, 2, 3), keepdim=True)
            var = ((X - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
        X_hat = (X - mean) / torch.sqrt(var + eps)
        moving_mean = (1.0 - momentum) * moving_mean + momentum * mean
        moving_var = (1.0 - momentum) * moving_var + momentum * var
    Y = gamma * X_hat + beta
    return Y, moving_mean.data, moving_var.data


class BatchNorm(nn.Module):
    def __init__(self, num_features, num_dims):
        super().__init__()
        shape = (1, num_features) if num_dims == 2 else (1, num_features, 1, 1)
        self.gamma = nn.Parameter(torch.ones(shape))
        self.beta = nn.Parameter(torch.zeros(shape))
        self.moving_mean = torch.zeros(shape)
        self.moving_var = torch.ones(shape)

    def forward(self, X):
        if self.moving_mean.device != X.device:
            self.moving_mean = self.moving_mean.to(X.device)
            self.moving_var = self.moving_var.to(X.device)
        Y, self.moving_mean, self.moving_var = batch_norm(
            X, self.gamma, self.beta, self.moving_mean, self.moving_var, eps=1e-5, momentum=0.1
        )
        return Y


bn = nn.Sequential(
    nn.LazyConv2d(6, kernel_size=5),
    BatchNorm(6, num_dims=4),
    nn.Sigmoid(),
    nn.AvgPool2d(2, 2),
    nn.Flatten(),
    nn.LazyLinear(12),
    BatchNorm(12, num_dims=2),
    nn.Sigmoid(),
    nn.LazyLinear(10),
)
train(bn, (1, 12, 12))
print(bn[1].gamma.reshape((-1,)), bn[1].beta.reshape((-1,)), bn[1].moving_mean.view(-1))


class Residual(nn.Module):
    def __init__(self, num_channels, use_1x1conv=False, strides=1):
        super().__init__()
        self.conv1 = nn.LazyConv2d(num_channels, kernel_size=3, padding=1, stride=strides)
        self.conv2 = nn.LazyConv2d(num_channels, kernel_size=3, padding=1)
        if use_1x1conv:
            self.conv3 = nn.LazyConv2d(num_channels, kernel_size=1, stride=strides)
        else:
            self.conv3 = None
        self.bn1 = nn.LazyBatchNorm2d()
        self.bn2 = nn.LazyBatchNorm2d()

    def forward(self, X):
        Y = F.relu(self.bn1(self.conv1(X)))
        Y = self.bn2(self.conv2(Y))
        if self.conv3:
            X = self.conv3(X)
        Y += X
        return F.relu(Y)


rn = nn.Sequential(
    nn.Sequential(
        nn.LazyConv2d(8, 7, stride=2, padding=3),
        nn.LazyBatchNorm2d(),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
    ),
    Residual(8),
    Residual(16, True, 2),
    nn.AdaptiveAvgPool2d((1, 1)),
    nn.Flatten(),
    nn.LazyLinear(10),
)
print(rn)
train(rn, (3, 24, 24))
print(rn)
print(rn[1].bn1.running_mean, rn[1].bn1.num_batches_tracked)


def conv_block(c):
    return nn.Sequential(
        nn.LazyBatchNorm2d(), nn.ReLU(), nn.LazyConv2d(c, kernel_size=3, padding=1)
    )


class DenseBlock(nn.Module):
    def __init__(self, num_convs, num_channels):
        super().__init__()
        self.net = nn.Sequential(*[conv_block(num_channels) for i in range(num_convs)])

    def forward(self, X):
        for blk in self.net:
            Y = blk(X)
            X = torch.cat((X, Y), dim=1)
        return X


dn = nn.Sequential(
    nn.LazyConv2d(4, 3, padding=1),
    DenseBlock(2, 4),
    nn.Sequential(nn.LazyBatchNorm2d(), nn.ReLU(), nn.LazyConv2d(6, 1), nn.AvgPool2d(2, 2)),
    DenseBlock(2, 4),
    nn.AdaptiveMaxPool2d((1, 1)),
    nn.Flatten(),
    nn.LazyLinear(10),
)
train(dn, (1, 8, 8), opt=torch.optim.Adam)
print(list(dn.state_dict())[:8])


class ResNeXtBlock(nn.Module):
    def __init__(self, num_channels, groups, bot_mul):
        super().__init__()
        b = round(num_channels * bot_mul)
        self.conv1 = nn.LazyConv2d(b, 1)
        self.conv2 = nn.LazyConv2d(b, 3, padding=1, groups=b // groups)
        self.bn = nn.LazyBatchNorm2d()

    def forward(self, X):
        return F.relu(X + self.bn(self.conv2(self.conv1(X))))


b = ResNeXtBlock(8, 4, 1)
print(b(torch.randn(2, 8, 6, 6)).shape, b)
tc = nn.ConvTranspose2d(1, 1, kernel_size=2, bias=False)
tc.weight.data = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).reshape(1, 1, 2, 2)
print(tc(torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])))
