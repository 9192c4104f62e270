"""Linear regression with `nn`, `optim` and a DataLoader, beside the analytic solution."""

import argparse

import rushlight as torch
from rushlight import nn
from rushlight.utils.data import DataLoader, TensorDataset


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=10)
    parser.add_argument("--lr", type=float, default=0.03)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    true_w, true_b = torch.tensor([[2.0, -3.4]]), 4.2
    x = torch.randn(1000, 2)
    y = x @ true_w.T + true_b + 0.01 * torch.randn(1000, 1)

    net = nn.Linear(2, 1)
    loss_of = nn.MSELoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=args.lr)
    loader = DataLoader(TensorDataset(x, y), batch_size=args.batch_size, shuffle=True)
    for epoch in range(1, args.epochs + 1):
        for x_batch, y_batch in loader:
            loss = loss_of(net(x_batch), y_batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            print(f"epoch {epoch}: loss {loss_of(net(x), y).item():.6f}")

    # The normal equations: (X'X) w = X'y, with a column of ones for the bias.
    design = torch.cat([x, torch.ones(1000, 1)], 1)
    exact = torch.linalg.solve(design.T @ design, design.T @ y).flatten().tolist()
    numeric = [*net.weight.flatten().tolist(), net.bias.item()]
    true = [*true_w.flatten().tolist(), true_b]
    print("\n          true   trained  analytic")
    for name, *values in zip(["w[0]", "w[1]", "b"], true, numeric, exact, strict=True):
        print(f"{name:5s}" + "".join(f"{value:10.4f}" for value in values))


if __name__ == "__main__":
    main()
