"""A recurrent network that learns to write Python's manual, character by character.

Perplexity is the exponential of the loss: among how many equally likely characters the network
hesitates. Gradients through many time steps may explode, so they are clipped. The training step is
compiled where llvmlite is installed.

Reference: Cho et al., 2014, "Learning phrase representations using RNN encoder-decoder for
statistical machine translation" (the gated recurrent unit).
"""

import argparse
import math
import time

from text import Text, write

import rushlight as torch
from rushlight import nn


class CharRNN(nn.Module):
    def __init__(self, characters, width=256):
        super().__init__()
        self.embed = nn.Embedding(characters, width)
        self.rnn = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, characters)

    def forward(self, codes):  # (B, T) -> (B, T, characters)
        states, _ = self.rnn(self.embed(codes))
        return self.head(states)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--window", type=int, default=64, help="time steps")
    parser.add_argument("--lr", type=float, default=3e-3, help="step size")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    text = Text()
    net = CharRNN(len(text.characters))
    optimizer = torch.optim.Adam(net.parameters(), lr=args.lr)

    def loss_of(x, y):
        return nn.functional.cross_entropy(net(x).flatten(0, 1), y.flatten())

    @torch.compile
    def step(x, y):
        loss = loss_of(x, y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), max_norm=1.0)
        optimizer.step()
        return loss

    print(" step  train perplexity  test perplexity  seconds", flush=True)
    report, begin, total = max(args.steps // 5, 1), time.perf_counter(), 0.0
    for number in range(1, args.steps + 1):
        total += step(*text.windows(args.batch_size, args.window)).item()
        if number % report == 0:
            with torch.no_grad():
                test = loss_of(*text.held_out(100, args.window)).item()
            seconds, mean, total = time.perf_counter() - begin, total / report, 0.0
            line = f"{number:5d}  {math.exp(mean):16.2f}  {math.exp(test):15.2f}  {seconds:7.1f}"
            print(line, flush=True)
    print("\n" + write(net, text, "The statement", 300, args.window))


if __name__ == "__main__":
    main()
