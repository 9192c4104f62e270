"""Larger networks follow torch's losses for 100 steps from the same seed: a GRU language model, a
small GPT, a ResNet on real images, a variational autoencoder, and a seq2seq model with attention.

Each program is written once and run with each framework, as in test_loss_curves.py.
"""

import pytest
import torch

import rushlight
from rushlight.vision.datasets import FashionMNISTSample

STEPS = 100
TEXT = (
    "the time traveller, for so it will be convenient to speak of him, was expounding a "
    "recondite matter to us. his grey eyes shone and twinkled, and his usually pale face was "
    "flushed and animated. the fire burned brightly, and the soft radiance of the lights in "
    "the lilies of silver caught the bubbles that flashed and passed in our glasses."
)
LETTERS = sorted(set(TEXT))


def corpus(fw):
    """The text as numbers."""
    return fw.tensor([LETTERS.index(c) for c in TEXT])


def passages(fw, batch, length):
    """Return random passages of the text, and for each letter the one after it."""
    text = corpus(fw)
    starts = fw.randint(0, len(text) - length - 1, (batch,)).tolist()
    x = fw.stack([text[i : i + length] for i in starts])
    y = fw.stack([text[i + 1 : i + length + 1] for i in starts])
    return x, y


def photographs(fw, n):
    """Return n of the bundled images, in [0, 1], and their classes."""
    data = FashionMNISTSample()
    images, labels = data.data[:n].numpy(), data.targets[:n].numpy()
    return fw.from_numpy(images).float().unsqueeze(1) / 255, fw.from_numpy(labels)


def optimise(optimizer, loss_of, before_step=lambda: None, schedule=None):
    """Take STEPS steps; return the loss of each."""
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        before_step()
        optimizer.step()
        if schedule is not None:
            schedule.step()
        losses.append(loss.item())
    return losses


def gru_language_model(fw):
    nn = fw.nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(len(LETTERS), 24)
            self.rnn = nn.GRU(24, 48, num_layers=2, dropout=0.1)
            self.out = nn.Linear(48, len(LETTERS))

        def forward(self, x, state=None):
            y, state = self.rnn(self.embedding(x.t()), state)
            return self.out(y).transpose(0, 1), state

    model = Model()
    optimizer = fw.optim.SGD(model.parameters(), lr=2.0)
    schedule = fw.optim.lr_scheduler.StepLR(optimizer, 40, gamma=0.5)
    state = None

    def loss_of():
        nonlocal state
        x, y = passages(fw, 8, 12)
        logits, state = model(x, state)
        state = state.detach()
        return nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())

    def clip():
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)

    return optimise(optimizer, loss_of, clip, schedule)


def gpt(fw):
    nn, F = fw.nn, fw.nn.functional
    heads, width, length = 2, 32, 16

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv = nn.Linear(width, 3 * width, bias=False)
            self.proj = nn.Linear(width, width, bias=False)
            self.mlp = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(0.1)
            )

        def forward(self, x):
            b, t, c = x.shape
            q, k, v = self.qkv(self.ln_1(x)).split(width, dim=2)
            q, k, v = (z.view(b, t, heads, c // heads).transpose(1, 2) for z in (q, k, v))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.proj(y.transpose(1, 2).contiguous().view(b, t, c))
            return x + self.mlp(self.ln_2(x))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.wte, self.wpe = nn.Embedding(len(LETTERS), width), nn.Embedding(length, width)
            self.h = nn.ModuleList([Block() for _ in range(2)])
            self.ln_f = nn.LayerNorm(width)
            self.head = nn.Linear(width, len(LETTERS), bias=False)
            self.head.weight = self.wte.weight  # tied
            self.apply(self.initialise)

        def initialise(self, module):
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)

        def forward(self, x):
            h = self.wte(x) + self.wpe(fw.arange(x.shape[1]))
            for block in self.h:
                h = block(h)
            return self.head(self.ln_f(h))

    model = GPT()
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = fw.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95))
    schedule = fw.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)

    def loss_of():
        x, y = passages(fw, 6, length)
        return F.cross_entropy(model(x).view(-1, len(LETTERS)), y.view(-1))

    def clip():
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)

    return optimise(optimizer, loss_of, clip, schedule)


def resnet(fw):
    nn = fw.nn

    class Residual(nn.Module):
        def __init__(self, before, after, stride=1):
            super().__init__()
            self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(after)
            self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(after)
            self.shortcut = nn.Identity()
            if stride != 1:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
                )

        def forward(self, x):
            y = self.bn1(self.conv1(x)).relu()
            return nn.functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))

    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True),
        nn.MaxPool2d(2), Residual(4, 4), Residual(4, 8, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10),
    )  # fmt: skip
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    optimizer = fw.optim.SGD(
        model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    schedule = fw.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=STEPS)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.1)
    loader = fw.utils.data.DataLoader(
        fw.utils.data.TensorDataset(*photographs(fw, 16 * STEPS)), batch_size=16, shuffle=True
    )
    batches = iter(loader)

    def loss_of():
        x, y = next(batches)
        return loss_fn(model(x), y)

    return optimise(optimizer, loss_of, schedule=schedule)


def autoencoder(fw):
    nn, F = fw.nn, fw.nn.functional

    class VAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential(
                nn.Conv2d(1, 8, 4, 4), nn.LeakyReLU(0.1), nn.Flatten(), nn.Linear(8 * 49, 32),
                nn.Tanh(),
            )  # fmt: skip
            self.mean, self.log_var = nn.Linear(32, 4), nn.Linear(32, 4)
            self.decoder = nn.Sequential(
                nn.Linear(4, 8 * 49), nn.ELU(), nn.Unflatten(1, (8, 7, 7)),
                nn.ConvTranspose2d(8, 1, 4, 4),
            )  # fmt: skip

        def forward(self, x):
            h = self.encoder(x)
            mean, log_var = self.mean(h), self.log_var(h)
            z = mean + (0.5 * log_var).exp() * fw.randn_like(mean)
            return self.decoder(z), mean, log_var

    model = VAE()
    optimizer = fw.optim.Adam(model.parameters(), lr=2e-3)
    images, _ = photographs(fw, 512)

    def loss_of():
        x = images[fw.randperm(len(images))[:32]]
        logits, mean, log_var = model(x)
        rebuilt = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        divergence = -0.5 * (1 + log_var - mean.pow(2) - log_var.exp()).sum()
        return (rebuilt + divergence) / len(x)

    return optimise(optimizer, loss_of)


def translation(fw):
    nn = fw.nn
    words, width = 12, 24

    class Attention(nn.Module):
        """Additive attention, masked by the length of each source."""

        def __init__(self):
            super().__init__()
            self.query = nn.Linear(width, width, bias=False)
            self.key = nn.Linear(2 * width, width, bias=False)
            self.score = nn.Linear(width, 1, bias=False)

        def forward(self, query, keys, mask):
            features = fw.tanh(self.query(query).unsqueeze(1) + self.key(keys))
            scores = self.score(features).squeeze(-1).masked_fill(~mask, -1e9)
            weights = fw.softmax(scores, dim=-1)
            return fw.bmm(weights.unsqueeze(1), keys).squeeze(1)

    class Seq2Seq(nn.Module):
        def __init__(self):
            super().__init__()
            self.source = nn.Embedding(words, width, padding_idx=0)
            self.target = nn.Embedding(words, width)
            self.encoder = nn.LSTM(width, width, batch_first=True, bidirectional=True)
            self.bridge = nn.Linear(2 * width, width)
            self.attention = Attention()
            self.decoder = nn.LSTMCell(3 * width, width)
            self.out = nn.Linear(3 * width, words)

        def forward(self, source, lengths, target):
            rnn = nn.utils.rnn
            packed = rnn.pack_padded_sequence(
                self.source(source), lengths, batch_first=True, enforce_sorted=False
            )
            packed, (h, _) = self.encoder(packed)
            keys, _ = rnn.pad_packed_sequence(packed, batch_first=True)
            h = fw.tanh(self.bridge(fw.cat([h[0], h[1]], dim=1)))
            c = fw.zeros_like(h)
            mask = fw.arange(keys.shape[1])[None, :] < lengths[:, None]
            logits = []
            for word in self.target(target).unbind(1):
                context = self.attention(h, keys, mask)
                h, c = self.decoder(fw.cat([word, context], dim=1), (h, c))
                logits.append(self.out(fw.cat([h, context], dim=1)))
            return fw.stack(logits, dim=1)

    model = Seq2Seq()
    optimizer = fw.optim.RMSprop(model.parameters(), lr=3e-3)
    longest = 6

    def loss_of():
        """Learn to reverse a sequence; word 0 is padding, word 1 starts the answer."""
        lengths = fw.randint(2, longest + 1, (8,))
        source = fw.randint(2, words, (8, longest))
        inside = fw.arange(longest)[None, :] < lengths[:, None]
        source = source * inside
        places = (lengths[:, None] - 1 - fw.arange(longest)).clamp(min=0)
        answer = fw.where(inside, source.gather(1, places), fw.zeros_like(source))
        given = fw.cat([fw.ones(8, 1, dtype=fw.int64), answer[:, :-1]], dim=1)
        logits = model(source, lengths, given)
        return nn.functional.cross_entropy(
            logits.reshape(-1, words), answer.reshape(-1), ignore_index=0
        )

    def clip():
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)

    return optimise(optimizer, loss_of, clip)


PROGRAMS = [gru_language_model, gpt, resnet, autoencoder, translation]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_follows_torch(program):
    curves = []
    for fw in (rushlight, torch):
        fw.manual_seed(0)
        curves.append(program(fw))
    ours, theirs = curves
    assert len(ours) == STEPS
    assert ours == pytest.approx(theirs, rel=1e-3)
    assert min(theirs[-10:]) < 0.9 * theirs[0]  # it trained, so there was something to follow
