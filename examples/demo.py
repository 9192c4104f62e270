"""Train two networks on the bundled images, draw what they learned, save one and load it back.

Everything lands in `runs/demo/`: learning curves, a grid of test images with their
predicted and true names, and `model.pt`. Takes under two minutes on two cores; `--epochs` makes it
shorter or longer.
"""

import argparse
import os
import time
from pathlib import Path

# Matrices this small gain nothing from two threads, and on a busy machine the threads wait for each
# other. Has to be said before NumPy is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib
from common import evaluate, train_epoch

import rushlight as torch
from rushlight import nn
from rushlight.utils.data import DataLoader, TensorDataset
from rushlight.vision.datasets import FashionMNISTSample

matplotlib.use("Agg")  # draws into files, so no display is needed
import matplotlib.pyplot as plt


def lenet():
    """The convolutional network of 1998, with the rectifiers and max-pooling of later years."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),  # (6, 14, 14)
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),  # (16, 5, 5)
        nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(),
        nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, 10),
    )  # fmt: skip


def mlp():
    """Pixels to 256 hidden units, some of them dropped at random while training."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, 10)
    )


def load(train):
    """Return the bundled images, (1, 28, 28) with values in [0, 1], and the ten names."""
    part = FashionMNISTSample(train)
    return TensorDataset(part.data.unsqueeze(1).float() / 255, part.targets), part.classes


def seconds_per_epoch(net, train_set, test_set, batch_size, steps=5):
    """Time a few steps of a new network, and a look at the test set, to predict an epoch."""
    net = net()
    optimizer = torch.optim.Adam(net.parameters())
    few = DataLoader(torch.utils.data.Subset(train_set, range(steps * batch_size)), batch_size)
    train_epoch(net, few, optimizer, "warming up")
    start = time.perf_counter()
    train_epoch(net, few, optimizer, "measuring")
    middle = time.perf_counter()
    evaluate(net, test_set)
    batches = -(-len(train_set) // batch_size)
    return (middle - start) / steps * batches + time.perf_counter() - middle


def fit(name, net, train_set, test_set, args):
    """Train; print an epoch table. Return its rows: loss and accuracy in training, then in test."""
    optimizer = torch.optim.Adam(net.parameters(), lr=args.lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)
    batches = DataLoader(train_set, args.batch_size, shuffle=True)
    print(f"\n{name}: {sum(p.numel() for p in net.parameters()):,} parameters")
    print("         training          test")
    print("epoch    loss  accuracy    loss  accuracy   seconds", flush=True)
    rows = []
    for epoch in range(1, args.epochs + 1):
        start = time.perf_counter()
        title = f"{name} {epoch}/{args.epochs}"
        row = (*train_epoch(net, batches, optimizer, title), *evaluate(net, test_set))
        scheduler.step()
        rows.append(row)
        seconds = time.perf_counter() - start
        figures = "{:6.3f}  {:8.3f}  {:6.3f}  {:8.3f}".format(*row)
        print(f"{epoch:5d}  {figures}  {seconds:8.1f}", flush=True)
    return rows


def draw_curves(histories, path):
    """Draw loss and accuracy by epoch, a colour for each network; dashed while training."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axis, column, title in zip(axes, (0, 1), ("loss", "accuracy"), strict=True):
        for (name, rows), colour in zip(histories.items(), ("#1f6feb", "#d4620b"), strict=True):
            epochs = range(1, len(rows) + 1)
            train, test = [[row[i] for row in rows] for i in (column, column + 2)]
            axis.plot(epochs, train, "--", color=colour, alpha=0.6, label=f"{name}, training")
            axis.plot(epochs, test, "-", color=colour, linewidth=2, label=f"{name}, test")
        axis.set(xlabel="epoch", title=title)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    figure.suptitle("6,000 training and 1,000 test images of Fashion-MNIST")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw_predictions(net, test_set, names, path, rows=4, columns=8):
    """Draw test images between their predicted and true names; mistakes are red."""
    images, labels = test_set[: rows * columns]
    net.eval()
    with torch.no_grad():
        guesses = net(images).argmax(1)
    figure, axes = plt.subplots(rows, columns, figsize=(1.35 * columns, 1.75 * rows))
    for axis, image, guess, label in zip(
        axes.flat, images.squeeze(1), guesses.tolist(), labels.tolist(), strict=True
    ):
        axis.imshow(image.numpy(), cmap="gray_r", interpolation="nearest")
        right = guess == label
        axis.set_title(names[guess], fontsize=9, color="#1a7f37" if right else "#cf222e", pad=3)
        axis.set_xlabel(f"true: {names[label]}", fontsize=8, color="#57606a", labelpad=2)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_color("#d0d7de" if right else "#cf222e")
    correct = (guesses == labels).sum().item()
    figure.suptitle(
        f"LeNet says what is above, the truth is below: {correct} of {len(labels)} right"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    args = parser.parse_args()
    begin = time.perf_counter()
    args.out.mkdir(parents=True, exist_ok=True)

    train_set, names = load(train=True)
    test_set, _ = load(train=False)
    networks = {"LeNet": lenet, "MLP": mlp}
    per_epoch = sum(
        seconds_per_epoch(net, train_set, test_set, args.batch_size) for net in networks.values()
    )
    print(
        f"Training two networks on {len(train_set):,} images of clothes, {args.epochs} epochs "
        f"each, will take about {per_epoch * args.epochs:.0f} s.",
        flush=True,
    )

    torch.manual_seed(args.seed)
    histories, trained = {}, {}
    for name, make in networks.items():
        trained[name] = make()
        histories[name] = fit(name, trained[name], train_set, test_set, args)

    draw_curves(histories, args.out / "learning_curves.png")
    draw_predictions(trained["LeNet"], test_set, names, args.out / "predictions.png")

    torch.save(trained["LeNet"].state_dict(), args.out / "model.pt")
    fresh = lenet()
    _, before = evaluate(fresh, test_set)
    fresh.load_state_dict(torch.load(args.out / "model.pt"))
    _, after = evaluate(fresh, test_set)

    print(
        f"\nA fresh LeNet scores {before:.3f}; with the saved weights loaded, {after:.3f}", end=""
    )
    print(
        ", as before saving." if after == histories["LeNet"][-1][3] else " (NOT as before saving)."
    )
    print(f"Wrote {args.out}/learning_curves.png, predictions.png and model.pt.")
    print(f"Took {time.perf_counter() - begin:.0f} s.")


if __name__ == "__main__":
    main()
