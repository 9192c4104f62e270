"""Vanishing and exploding gradients made visible: how much of a gradient arrives at each layer.

A deep network multiplies its gradient by one matrix a layer, a recurrent one by the same matrix at
every time step; either way it shrinks or grows by a power of the depth. Activation and
initialisation decide which. `--plot FILE` draws the table (needs matplotlib).

References: Glorot and Bengio, 2010, "Understanding the difficulty of training deep feedforward
neural networks"; He, Zhang, Ren and Sun, 2015, "Delving deep into rectifiers"; Pascanu, Mikolov and
Bengio, 2013, "On the difficulty of training recurrent neural networks".
"""

import argparse

import rushlight as torch
from rushlight import nn


def deep(activation, init, depth, width=64):
    """Return the norm of the loss's gradient at the output of each layer, from the first on."""
    layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
    x, outputs = torch.randn(256, width), []
    for layer in layers:
        init(layer.weight)
        nn.init.zeros_(layer.bias)
        x = activation(layer(x))
        x.retain_grad()
        outputs.append(x)
    x.square().mean().backward()
    return [output.grad.norm().item() for output in outputs]


def recurrent(make, scale, steps, width=64):
    """Return the norm of the last state's gradient at the input of each time step."""
    net = make(width, width, batch_first=True)
    nn.init.orthogonal_(net.weight_hh_l0)
    with torch.no_grad():
        net.weight_hh_l0.mul_(scale)
    x = torch.randn(256, steps, width, requires_grad=True)
    states, _ = net(x)
    states[:, -1].square().mean().backward()
    return x.grad.norm(dim=(0, 2)).tolist()


def measure(depth):
    """Return a dictionary from the name of a setting to its gradient norms, first layer first."""
    gain = nn.init.calculate_gain("tanh")
    return {
        "sigmoid, Xavier": deep(torch.sigmoid, nn.init.xavier_normal_, depth),
        "tanh, Xavier": deep(torch.tanh, lambda w: nn.init.xavier_normal_(w, gain), depth),
        "relu, He": deep(torch.relu, lambda w: nn.init.kaiming_normal_(w), depth),
        "relu, standard normal": deep(torch.relu, nn.init.normal_, depth),
        "RNN, matrix x 0.5": recurrent(nn.RNN, 0.5, depth),
        "RNN, matrix x 2": recurrent(
            lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k), 2, depth
        ),
        "GRU": recurrent(nn.GRU, 1.0, depth),
    }


def draw(norms, path):
    import matplotlib

    matplotlib.use("Agg")  # draws into a file, so no display is needed
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for name, values in norms.items():
        axis.semilogy(range(1, len(values) + 1), values, ".-", label=name)
    axis.set(xlabel="layer, or time step", ylabel="norm of the gradient")
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, default=24, help="layers, or time steps")
    parser.add_argument("--plot", metavar="FILE", help="draw the norms into this file")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_default_dtype(torch.float64)  # or what explodes would be infinite at once

    norms = measure(args.depth)
    shown = sorted({0, args.depth // 4, args.depth // 2, 3 * args.depth // 4, args.depth - 1})
    print(f"norm of the gradient at layer  {''.join(f'{layer + 1:>9}' for layer in shown)}")
    for name, values in norms.items():
        print(f"{name:30} {''.join(f'{values[layer]:9.0e}' for layer in shown)}")
    print("\nThe loss is at the last layer: reading leftwards, a gradient that shrinks vanishes.")
    print("\nWhat helps a gradient that explodes is to clip it before the step:")
    w = nn.Parameter(torch.ones(3))
    (1e6 * w.sum()).backward()
    before = nn.utils.clip_grad_norm_([w], max_norm=1.0)
    print(f"a norm of {before:.0f} becomes {w.grad.norm():.1f}, its direction stays.")
    if args.plot:
        draw(norms, args.plot)
        print(f"Wrote {args.plot}.")


if __name__ == "__main__":
    main()
