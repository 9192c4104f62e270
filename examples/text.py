"""What the language models share: characters of a text as numbers, windows of it, perplexity."""

import pydoc_data.topics  # Python's manual: 465,000 characters that every Python brings along

import rushlight as torch


class Text:
    """A text as numbers, one for each of its characters; the last tenth is held out for testing.

    `characters` names each number. `windows` draws pieces to train on, `held_out` those to test on.
    """

    def __init__(self, text=None):
        text = text or "\n\n".join(pydoc_data.topics.topics.values())
        self.characters = sorted(set(text))
        codes = torch.tensor(self.encode(text))
        cut = len(codes) * 9 // 10
        self.train, self.test = codes[:cut], codes[cut:]

    def encode(self, text):
        """Return the number of each character."""
        number = {character: i for i, character in enumerate(self.characters)}
        return [number[character] for character in text]

    def decode(self, codes):
        """Return the text that a list of numbers stands for."""
        return "".join(self.characters[code] for code in codes)

    def windows(self, batch_size, length):
        """Draw windows at random: characters, and those that follow, (batch_size, length) both."""
        starts = torch.randint(len(self.train) - length, (batch_size, 1))
        positions = starts + torch.arange(length)
        return self.train[positions], self.train[positions + 1]

    def held_out(self, batch_size, length):
        """Return the first windows of the text held out, side by side."""
        codes = self.test[: batch_size * length + 1]
        return codes[:-1].view(batch_size, length), codes[1:].view(batch_size, length)


@torch.no_grad()
def write(net, text, beginning, length, window):
    """Continue `beginning` by `length` characters, each drawn from what the net expects next."""
    codes = text.encode(beginning)
    for _ in range(length):
        scores = net(torch.tensor([codes[-window:]]))[0, -1]  # (C,)
        codes.append(torch.multinomial((scores / 0.8).softmax(0), 1).item())
    return text.decode(codes)
