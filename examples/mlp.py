"""A perceptron with two hidden layers on Fashion-MNIST, with dropout and weight decay.

Weight decay pulls weights towards zero and leaves biases alone: they are two parameter groups.
"""

from common import arguments, fashion_mnist, train

import rushlight as torch
from rushlight import nn


def main():
    args = arguments(__doc__.splitlines()[0], lr=0.5)
    torch.manual_seed(args.seed)
    train_set, test_set = fashion_mnist(args)

    net = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(256, 256), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(256, 10),
    )  # fmt: skip
    weights = [p for name, p in net.named_parameters() if name.endswith("weight")]
    biases = [p for name, p in net.named_parameters() if name.endswith("bias")]
    optimizer = torch.optim.SGD(
        [{"params": weights, "weight_decay": 1e-5}, {"params": biases}], lr=args.lr
    )
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)
    train(net, train_set, test_set, optimizer, args, scheduler)


if __name__ == "__main__":
    main()
