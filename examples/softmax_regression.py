"""Softmax regression on Fashion-MNIST: one linear layer from pixels to ten scores.

The step size falls along half a cosine, so that the last epochs settle instead of jumping about.
"""

from common import arguments, fashion_mnist, train

import rushlight as torch
from rushlight import nn


def main():
    args = arguments(__doc__.splitlines()[0], lr=0.3)
    torch.manual_seed(args.seed)
    train_set, test_set = fashion_mnist(args)

    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    nn.init.normal_(net[1].weight, std=0.01)
    optimizer = torch.optim.SGD(net.parameters(), lr=args.lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)
    train(net, train_set, test_set, optimizer, args, scheduler)


if __name__ == "__main__":
    main()
