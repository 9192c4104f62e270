"""A small transformer that learns to write Python's manual; stop it and go on with `--resume`.

AdamW with weight decay on matrices only, a learning rate that warms up and then falls along a
cosine. Every report saves all there is (weights, optimizer, schedule, random numbers), so a run
that was interrupted and resumed ends like one that was not. The training step is compiled where
llvmlite is installed.

References: Vaswani et al., 2017, "Attention is all you need"; Radford et al., 2019, "Language
models are unsupervised multitask learners".
"""

import argparse
import math
import time
from pathlib import Path

from text import Text, write

import rushlight as torch
from rushlight import nn


class Block(nn.Module):
    """Attention to what came before, then a perceptron; both add to what passes through."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x):  # (B, T, width)
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # three of (B, heads, T, width / heads)
        attended = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.mix(attended.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    def __init__(self, characters, window, width=128, layers=4, heads=4):
        super().__init__()
        self.embed, self.position = nn.Embedding(characters, width), nn.Embedding(window, width)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, characters, bias=False)

    def forward(self, codes):  # (B, T) -> (B, T, characters)
        x = self.embed(codes) + self.position(torch.arange(codes.shape[1]))
        return self.head(self.norm(self.blocks(x)))


def init_weights(module):
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)


def optimizer_and_schedule(net, args):
    """Return AdamW with its two groups, and the schedule of its learning rate."""
    matrices = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.99))

    def factor(step):
        warm_up = min(1.0, (step + 1) / (0.1 * args.steps))
        return warm_up * 0.5 * (1 + math.cos(math.pi * step / args.steps))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--window", type=int, default=64, help="characters that it looks back on")
    parser.add_argument("--lr", type=float, default=3e-3, help="largest step size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/gpt"), help="folder to save in")
    parser.add_argument("--resume", action="store_true", help="go on from what was saved there")
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    text = Text()
    net = GPT(len(text.characters), args.window)
    net.apply(init_weights)
    optimizer, schedule = optimizer_and_schedule(net, args)
    saved, done = args.out / "checkpoint.pt", 0
    if args.resume:
        state = torch.load(saved)
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        done = state["step"]
        print(f"Going on after step {done}.")

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

    args.out.mkdir(parents=True, exist_ok=True)
    print(" step  train perplexity  test perplexity  seconds", flush=True)
    report, begin, total = max(args.steps // 6, 1), time.perf_counter(), 0.0
    for number in range(done + 1, args.steps + 1):
        total += step(*text.windows(args.batch_size, args.window)).item()
        schedule.step()
        if number % report == 0:
            with torch.no_grad():
                test = loss_of(*text.held_out(100, args.window)).item()
            seconds, mean, total = time.perf_counter() - begin, total / report, 0.0
            line = f"{number:5d}  {math.exp(mean):16.2f}  {math.exp(test):15.2f}  {seconds:7.1f}"
            print(line, flush=True)
            state = {
                "net": net.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "random": torch.get_rng_state(),
                "step": number,
            }
            torch.save(state, saved)
    print("\n" + write(net, text, "The statement", 300, args.window))
    print(f"\nSaved in {saved}.")


if __name__ == "__main__":
    main()
