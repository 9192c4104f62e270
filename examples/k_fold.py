"""K-fold cross-validation: choose the strength of weight decay without touching a test set.

Few examples and many inputs make a model that fits its training data and nothing else. Each fold is
held out once while the others train, and the mean loss on what was held out decides.
"""

import argparse

import rushlight as torch
from rushlight import nn
from rushlight.utils.data import ConcatDataset, DataLoader, TensorDataset, random_split


def fit(net, dataset, weight_decay, epochs):
    """Train on a data set; weights decay, the bias does not."""
    groups = [{"params": net.weight, "weight_decay": weight_decay}, {"params": net.bias}]
    optimizer = torch.optim.SGD(groups, lr=0.01)
    for _ in range(epochs):
        for x, y in DataLoader(dataset, batch_size=8, shuffle=True):
            loss = nn.functional.mse_loss(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def loss_on(net, dataset):
    """Return the mean squared error on a data set."""
    with torch.no_grad():
        x, y = next(iter(DataLoader(dataset, batch_size=len(dataset))))
        return nn.functional.mse_loss(net(x), y).item()


def cross_validate(folds, weight_decay, epochs):
    """Return the mean loss on training folds and on the fold held out, over all choices of it."""
    train_losses, valid_losses = [], []
    for i, held_out in enumerate(folds):
        rest = ConcatDataset([fold for j, fold in enumerate(folds) if j != i])
        net = nn.Linear(40, 1)
        fit(net, rest, weight_decay, epochs)
        train_losses.append(loss_on(net, rest))
        valid_losses.append(loss_on(net, held_out))
    return sum(train_losses) / len(folds), sum(valid_losses) / len(folds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    x = torch.randn(50, 40)
    y = 0.05 + x @ torch.full((40, 1), 0.1) + 0.5 * torch.randn(50, 1)
    sizes = [len(x) // args.folds] * args.folds
    folds = random_split(TensorDataset(x[: sum(sizes)], y[: sum(sizes)]), sizes)

    print("weight decay  train loss  validation loss")
    results = {}
    for weight_decay in (0.0, 0.1, 0.3, 1.0, 3.0, 10.0):
        train_loss, results[weight_decay] = cross_validate(folds, weight_decay, args.epochs)
        print(f"{weight_decay:12.1f}  {train_loss:10.3f}  {results[weight_decay]:15.3f}")
    print(f"Best on what was held out: weight decay {min(results, key=results.get)}")


if __name__ == "__main__":
    main()
