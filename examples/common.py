"""What the examples share: Fashion-MNIST in memory, training, accuracy, progress."""

import argparse
import sys
import time

import rushlight as torch  # every program here is a PyTorch program: swap the import and it runs
from rushlight import nn
from rushlight.utils.data import DataLoader, TensorDataset
from rushlight.vision.datasets import FashionMNIST, FashionMNISTSample


def arguments(description, **defaults):
    """Parse the command line of an example that trains on Fashion-MNIST."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--epochs", type=int, default=defaults.get("epochs", 10))
    parser.add_argument("--batch-size", type=int, default=defaults.get("batch_size", 256))
    parser.add_argument("--lr", type=float, default=defaults.get("lr", 0.1), help="step size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--root", default="data", help="folder that holds, or gets, the data")
    parser.add_argument("--download", action="store_true", help="fetch the full data set")
    parser.add_argument("--sample", action="store_true", help="use the 7,000 bundled images")
    return parser.parse_args()


def fashion_mnist(args):
    """Return training and test set: images of shape (1, 28, 28), values in [0, 1], and labels."""
    parts = None
    if not args.sample:
        try:
            parts = [
                FashionMNIST(args.root, train, download=args.download) for train in (True, False)
            ]
        except RuntimeError:  # as torchvision: the files are not there
            print(
                "Full Fashion-MNIST was not found: this is the bundled sample, so expect less.\n"
                "For all images: --download, or on Debian: apt install dataset-fashion-mnist.\n"
            )
    parts = parts or [FashionMNISTSample(train) for train in (True, False)]
    return [TensorDataset(part.data.unsqueeze(1).float() / 255, part.targets) for part in parts]


def train_epoch(net, batches, optimizer, title="", loss_of=None):
    """Visit every batch once. Return the mean loss and the accuracy while training."""
    loss_of = loss_of or nn.CrossEntropyLoss()
    net.train()
    total, correct, seen = 0.0, 0, 0
    with ProgressBar(title, len(batches)) as bar:
        for x, y in batches:
            scores = net(x)  # (B, 10)
            loss = loss_of(scores, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
            correct += (scores.argmax(1) == y).sum().item()
            seen += len(y)
            bar.step(f"loss {total / seen:.3f}  accuracy {correct / seen:.3f}")
    return total / seen, correct / seen


def evaluate(net, dataset, batch_size=1000):
    """Return the mean loss and the accuracy on a data set, without training."""
    net.eval()
    total, correct = 0.0, 0
    with torch.no_grad():
        for x, y in DataLoader(dataset, batch_size):
            scores = net(x)
            total += nn.functional.cross_entropy(scores, y, reduction="sum").item()
            correct += (scores.argmax(1) == y).sum().item()
    return total / len(dataset), correct / len(dataset)


def train(net, train_set, test_set, optimizer, args, scheduler=None):
    """Train for `args.epochs` epochs; print a line for each. Return the last test accuracy."""
    batches = DataLoader(train_set, args.batch_size, shuffle=True)
    accuracy = 0.0
    print("epoch  train loss  train accuracy  test accuracy  seconds", flush=True)
    for epoch in range(1, args.epochs + 1):
        start = time.perf_counter()
        loss, train_accuracy = train_epoch(net, batches, optimizer, f"epoch {epoch}/{args.epochs}")
        seconds = time.perf_counter() - start
        if scheduler:
            scheduler.step()
        _, accuracy = evaluate(net, test_set)
        line = f"{epoch:5d}  {loss:10.3f}  {train_accuracy:14.3f}  {accuracy:13.3f}  {seconds:7.1f}"
        print(line, flush=True)
    return accuracy


class ProgressBar:
    """A line that redraws itself on a terminal, and is silent in a file or a pipe."""

    def __init__(self, title, steps, width=24):
        self.title, self.steps, self.width = title, steps, width
        self.done, self.drawn, self.length = 0, 0.0, 0
        self.start = time.perf_counter()
        self.shown = sys.stdout.isatty()
        unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        self.full, self.empty = ("━", "─") if unicode else ("#", "-")

    def step(self, text=""):
        """Count one step; redraw at most 20 times a second."""
        self.done += 1
        now = time.perf_counter()
        if self.shown and (now - self.drawn > 0.05 or self.done == self.steps):
            self.drawn = now
            filled = self.width * self.done // self.steps
            bar = self.full * filled + self.empty * (self.width - filled)
            left = (now - self.start) / self.done * (self.steps - self.done)
            self.draw(f"{self.title} {bar} {self.done:4d}/{self.steps}  {text}  {left:3.0f} s left")

    def draw(self, line):
        sys.stdout.write("\r" + line + " " * (self.length - len(line)))
        sys.stdout.flush()
        self.length = len(line)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.shown:  # clear the line for what is printed next
            sys.stdout.write("\r" + " " * self.length + "\r")
            sys.stdout.flush()
