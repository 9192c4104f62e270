"""Underfitting and overfitting: polynomials of growing degree, fitted to data of degree 3.

Each fit is the exact least-squares solution: what shows is the model's doing, not the training's.
"""

import argparse

import rushlight as torch


def features(x, degree):
    """Return the powers x^0 ... x^degree of each point, (N, degree + 1)."""
    return x ** torch.arange(degree + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=20, help="how many to fit")
    parser.add_argument("--noise", type=float, default=0.3, help="standard deviation")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    true_weights = torch.tensor([5.0, 1.2, -3.4, 5.6], dtype=torch.float64)
    x = 2 * torch.rand(args.points + 1000, 1, dtype=torch.float64) - 1
    y = features(x, 3) @ true_weights.reshape(-1, 1) + args.noise * torch.randn_like(x)

    print(f"noise alone gives a loss of {args.noise**2:.4f}; true weights 5.0, 1.2, -3.4, 5.6\n")
    print("degree  train loss  test loss  first weights")
    for degree in (0, 1, 2, 3, 5, 7, 9):
        inputs = features(x, degree)
        weights = torch.linalg.lstsq(inputs[: args.points], y[: args.points]).solution
        errors = (inputs @ weights - y) ** 2
        losses = errors[: args.points].mean(), errors[args.points :].mean()
        shown = ", ".join(f"{w:.2f}" for w in weights.flatten()[:4].tolist())
        print(f"{degree:6d}  {losses[0]:10.3f}  {losses[1]:9.3f}  {shown}")
    print("\nBelow degree 3 a polynomial cannot follow the data; above, it follows the noise too.")


if __name__ == "__main__":
    main()
