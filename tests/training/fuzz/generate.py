"""The random program of a seed."""

from __future__ import annotations

import copy
import re
import textwrap
import warnings
from string import Template
from typing import Any

import numpy as np
import torch

from tests.fuzz.common import Drawn
from tests.training.fuzz import texts

CHOICE = re.compile(r"\{\{((?:(?!\{\{|\}\}).)*)\}\}")  # one without others inside
LARGEST, BATCHES = 300, (3, 4, 5)  # elements of one example's value; examples


def lines_of(text: str) -> list[str]:
    """Its entries."""
    return text.strip().splitlines()


def parts_of(text: str) -> list[str]:
    """Lines of Python that stand in one of a table."""
    return [part for part in text.split("; ") if part.strip()]


class Generator(Drawn):
    """Grows a network line by line, as long as torch runs it, and writes a loop around it."""

    def __init__(self, seed: int) -> None:
        self.r = np.random.default_rng(seed)
        self.seed, self.made = seed, 0
        self.dtype, self.b = self.pick(["float64", "float64", "float32"]), self.pick(BATCHES)
        self.input = self.drawn(self.pick(lines_of(texts.INPUTS)))
        self.layers: list[str] = []
        self.forward: list[str] = []
        self.values: dict[str, Any] = {}

    def drawn(self, text: str) -> str:
        """A text with one part of each of its choices."""
        while CHOICE.search(text):
            text = CHOICE.sub(lambda found: self.pick(found[1].split("|")), text)
        return text

    def kept(self, text: str) -> list[str]:
        """A table's lines, without those that are left out this time."""
        found = [re.fullmatch(r"(?:\?(\S+) )?(.*)", line) for line in lines_of(text)]
        return [self.drawn(f[2]) for f in found if f and (f[1] is None or self.chance(float(f[1])))]

    # The network

    def grow(self, count: int) -> None:
        """Add lines until ``count`` values were made, or luck runs out."""
        if "randint" in self.input:
            while not self.values:
                self.add(self.pick(lines_of(texts.TOKENS)), "x")
        else:
            self.values = {"x": self.example(self.b)}
        for _ in range(10 * count):
            if self.made >= count:
                return
            names = list(self.values)
            x = names[-1] if self.chance(0.7) else self.pick(names)
            known = [line.split(": ", 1) for line in lines_of(texts.LAYERS)]
            fit = [line for dims, line in known if str(self.values[x].ndim) in dims]
            if fit:
                self.add(self.pick(fit), x)

    def example(self, n: int) -> Any:
        """Inputs of the network."""
        return eval(self.input, {"torch": torch, "n": n})

    def words(self, x: str) -> dict[str, Any]:
        """What stands for the names in a line that is given ``x``."""
        shape = tuple(self.values[x].shape) if self.values else ()
        alike = [k for k, v in self.values.items() if v.shape == shape] or [x]
        words: dict[str, Any] = {"x": x, "y": self.pick(alike), "n": len(shape) - 2}
        words |= {"m": f"m{self.made}", "o": f"x{self.made}"}
        if len(shape) > 1:
            words |= {"f": shape[-1], "c": shape[1], "d": self.whole(1, len(shape))}
            words["h"] = self.pick([k for k in (1, 2, 3) if shape[-1] % k == 0])
            words["g"] = self.pick([k for k in (1, 2, 3) if shape[1] % k == 0])
        return words

    def add(self, line: str, x: str) -> None:
        """Add a line of a table, if torch runs it."""
        text = Template(self.drawn(line)).substitute(self.words(x))
        layers, forward = (parts_of(part) for part in text.split("-> "))
        value = self.value_of([*self.layers, *layers], [*self.forward, *forward])
        if value is not None:
            self.layers += layers
            self.forward += forward
            self.values[f"x{self.made}"] = value
            self.made += 1

    def value_of(self, layers: list[str], forward: list[str]) -> Any:
        """What the last line makes on torch; None where it fails, or makes what is of no use."""
        name = f"x{self.made}"
        source = self.filled(layers=layers, forward=[*forward, f"return {name}"])
        env: dict[str, Any] = {"torch": torch, "copy": copy}
        try:
            exec(source[: source.index("net = Net()")], env)
            net, found = env["Net"](), {}
            for n in (self.b, self.b, self.b - 1):
                found[n] = net(self.example(n))
                if found[n].requires_grad:
                    found[n].square().sum().backward()
            net.eval()(self.example(self.b))
        except (RuntimeError, ValueError, IndexError, AssertionError, TypeError, AttributeError):
            return None
        finally:
            torch.set_default_dtype(torch.float32)
        value = found[self.b].detach()
        good = value.is_floating_point() and value.shape[:1] == (self.b,) and value.ndim < 6
        small = good and 0 < value.numel() <= LARGEST * self.b and bool(value.abs().max() < 100)
        return value if small else None

    # The program

    def filled(self, **parts: Any) -> str:
        """The program with some of its parts, lists of lines, and words for the others."""
        words = {"seed": self.seed, "dtype": self.dtype, "b": self.b, "input": self.input}
        for name in ("target", "loss", "optimizer", "last"):
            words[name] = parts.pop(name, "None")
        lines = []
        for line in lines_of(texts.PROGRAM):
            found = re.fullmatch(r"( *)\$(\w+)", line)
            inner = parts.get(found[2], ()) if found else [line]
            lines += [textwrap.indent(part, found[1] if found else "") for part in inner]
        return Template("\n".join(lines)).substitute(words) + "\n"

    def program(self) -> str:
        """The text of the program."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.grow(self.whole(2, 8))
        last = list(self.values)[-1]
        target, loss = self.drawn(self.pick(lines_of(texts.LOSSES))).split(" -> ")
        parameters = self.pick(lines_of(texts.PARAMETERS))
        optimizer = self.drawn(self.pick(lines_of(texts.OPTIMIZERS)))
        features = self.values[last][0].numel()
        frozen = ["for p in list(net.parameters())[::3]: p.requires_grad_(False)"]
        schedule = f"schedule = torch.optim.lr_scheduler.{self.pick(lines_of(texts.SCHEDULES))}"
        backward = parts_of(self.pick(lines_of(texts.BACKWARD)))
        between = self.kept(texts.BETWEEN)
        if any("saved" in line for line in between):
            between.append("if t == 4: net.load_state_dict(saved[0])")
            between.append("if t == 4: optimizer.load_state_dict(saved[1])")
        scheduled = self.chance(0.4)
        return self.filled(
            layers=[*self.layers, f"self.head = nn.Linear({features}, 4)"],
            forward=[*self.forward, f"return self.head({last}.reshape(len({last}), -1))"],
            target=target,
            loss=loss,
            optimizer=optimizer.replace("$p", parameters),
            frozen=frozen * self.chance(0.1),
            schedule=[schedule] * scheduled,
            backward=[part.replace("$loss", loss) for part in backward],
            clips=self.kept(texts.CLIPS),
            average=lines_of(texts.AVERAGE) * self.chance(0.2),
            between=[*between, *["schedule.step()"] * scheduled],
            last=self.pick([self.b, self.b - 1]),
        )


def generate(seed: int) -> str:
    """The random program of a seed."""
    return Generator(seed).program()
