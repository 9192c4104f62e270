"""LeNet on Fashion-MNIST as it was in 1998: sigmoids and average pooling, with a large step size.

Reference: LeCun, Bottou, Bengio and Haffner, 1998, "Gradient-based learning applied to document
recognition". The step size of 0.9 suits sigmoids, whose gradients are small: the loss stands still
for some 300 steps, before it falls.
"""

from common import arguments, fashion_mnist, train

import rushlight as torch
from rushlight import nn


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5, padding=2), nn.Sigmoid(),  # (6, 28, 28)
        nn.AvgPool2d(kernel_size=2, stride=2),  # (6, 14, 14)
        nn.Conv2d(6, 16, kernel_size=5), nn.Sigmoid(),  # (16, 10, 10)
        nn.AvgPool2d(kernel_size=2, stride=2),  # (16, 5, 5)
        nn.Flatten(),  # (400,)
        nn.Linear(16 * 5 * 5, 120), nn.Sigmoid(),
        nn.Linear(120, 84), nn.Sigmoid(),
        nn.Linear(84, 10),
    )  # fmt: skip


def init_weights(module):
    if type(module) in (nn.Linear, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)


def main():
    args = arguments(__doc__.splitlines()[0], lr=0.9, batch_size=128, epochs=20)
    torch.manual_seed(args.seed)
    train_set, test_set = fashion_mnist(args)

    net = lenet()
    net.apply(init_weights)
    optimizer = torch.optim.SGD(net.parameters(), lr=args.lr)
    train(net, train_set, test_set, optimizer, args)


if __name__ == "__main__":
    main()
