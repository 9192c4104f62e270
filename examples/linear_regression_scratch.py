"""Linear regression from tensors alone: the model, the loss and the descent are each written out.

Data come from known weights plus noise; training should find those weights again, and so should the
closed-form solution of least squares.
"""

import argparse

import rushlight as torch


def synthetic_data(w, b, n):
    """Return n points x ~ N(0, 1) and y = x w + b + noise."""
    x = torch.normal(0, 1, (n, len(w)))
    y = x @ w + b
    y += torch.normal(0, 0.01, y.shape)
    return x, y.reshape(-1, 1)


def batches(x, y, size):
    """Yield the data in random order, `size` points at a time."""
    order = torch.randperm(len(x))
    for i in range(0, len(x), size):
        chosen = order[i : i + size]
        yield x[chosen], y[chosen]


def sgd(params, lr):
    """Take one step against the gradient, then forget it."""
    with torch.no_grad():
        for p in params:
            p -= lr * p.grad
            p.grad.zero_()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=10)
    parser.add_argument("--lr", type=float, default=0.03)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    true_w, true_b = torch.tensor([2.0, -3.4]), 4.2
    x, y = synthetic_data(true_w, true_b, 1000)

    w = torch.normal(0, 0.01, size=(2, 1), requires_grad=True)
    b = torch.zeros(1, requires_grad=True)
    for epoch in range(1, args.epochs + 1):
        for x_batch, y_batch in batches(x, y, args.batch_size):
            loss = ((x_batch @ w + b - y_batch) ** 2 / 2).mean()
            loss.backward()
            sgd([w, b], args.lr)
        with torch.no_grad():
            loss = ((x @ w + b - y) ** 2 / 2).mean()
        print(f"epoch {epoch}: loss {loss:.6f}")

    # Least squares in closed form: the same weights without a single step of training.
    ones = torch.ones(len(x), 1)
    exact = torch.linalg.lstsq(torch.cat([x, ones], 1), y).solution.flatten()
    found = torch.cat([w.flatten(), b]).detach()
    print(f"true weights     {true_w[0]:.4f} {true_w[1]:.4f} {true_b:.4f}")
    print("trained weights ", *(f"{value:.4f}" for value in found.tolist()))
    print("closed form     ", *(f"{value:.4f}" for value in exact.tolist()))


if __name__ == "__main__":
    main()
