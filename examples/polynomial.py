"""Underfitting and overfitting: polynomials of growing degree, fitted to data of degree 3."""

import argparse
import math

import rushlight as torch
from rushlight import nn


def features(x, degree):
    """Return x^i / i! for i = 0 ... degree; the factorial keeps high powers small."""
    powers = torch.arange(degree + 1)
    scale = torch.tensor([math.factorial(i) for i in range(degree + 1)])
    return x**powers / scale  # (N, degree + 1)


def fit(x_train, y_train, x_test, y_test, epochs):
    """Fit weights by mini-batch descent; return the losses on both sets and the weights."""
    net = nn.Linear(x_train.shape[1], 1, bias=False)
    loss_of = nn.MSELoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    for _ in range(epochs):
        for x, y in zip(x_train.split(10), y_train.split(10), strict=True):
            optimizer.zero_grad()
            loss_of(net(x), y).backward()
            optimizer.step()
    with torch.no_grad():
        losses = loss_of(net(x_train), y_train).item(), loss_of(net(x_test), y_test).item()
    return *losses, net.weight.detach().flatten()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    true_weights = torch.tensor([5.0, 1.2, -3.4, 5.6])
    x = torch.randn(120, 1)
    y = features(x, 3) @ true_weights.reshape(-1, 1) + 0.5 * torch.randn(120, 1)

    print("degree  train loss  test loss  first weights (true: 5.0, 1.2, -3.4, 5.6)")
    for degree in (1, 2, 3, 9, 19):
        inputs = features(x, degree)
        halves = inputs[:20], y[:20], inputs[20:], y[20:]
        train_loss, test_loss, weights = fit(*halves, args.epochs)
        shown = ", ".join(f"{w:.2f}" for w in weights[:4].tolist())
        print(f"{degree:6d}  {train_loss:10.4f}  {test_loss:9.4f}  {shown}")
    print("Below degree 3 the line cannot follow the data; above, it follows the noise as well.")


if __name__ == "__main__":
    main()
