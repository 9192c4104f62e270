"""Character language models: a GRU from scratch, and every recurrent layer."""

import collections
import math
import random
import re

import torch
from torch import nn
from torch.nn import functional as F

text = (
    "the time traveller for so it will be convenient to speak of him was expounding a recondite matter to us his grey eyes shone and twinkled and his usually pale face was flushed and animated "
    * 6
)
tokens = list(re.sub("[^A-Za-z]+", " ", text).lower())


class Vocab:
    def __init__(self, tokens):
        c = collections.Counter(tokens)
        self.freqs = sorted(c.items(), key=lambda x: (-x[1], x[0]))
        self.idx = ["<unk>"] + [t for t, _ in self.freqs]
        self.tok = {t: i for i, t in enumerate(self.idx)}

    def __len__(self):
        return len(self.idx)

    def __getitem__(self, t):
        return [self[x] for x in t] if isinstance(t, (list, tuple)) else self.tok.get(t, 0)


vocab = Vocab(tokens)
corpus = vocab[tokens]
print(len(vocab), corpus[:20])


def seq_data_iter_random(corpus, bs, T):
    corpus = corpus[random.randint(0, T - 1) :]
    n = (len(corpus) - 1) // T
    starts = list(range(0, n * T, T))
    random.shuffle(starts)
    for i in range(0, bs * (n // bs), bs):
        s = starts[i : i + bs]
        yield (
            torch.tensor([corpus[j : j + T] for j in s]),
            torch.tensor([corpus[j + 1 : j + 1 + T] for j in s]),
        )


def seq_data_iter_sequential(corpus, bs, T):
    o = random.randint(0, T)
    n = ((len(corpus) - o - 1) // bs) * bs
    Xs = torch.tensor(corpus[o : o + n]).reshape(bs, -1)
    Ys = torch.tensor(corpus[o + 1 : o + 1 + n]).reshape(bs, -1)
    for i in range(0, T * (Xs.shape[1] // T), T):
        yield Xs[:, i : i + T], Ys[:, i : i + T]


torch.manual_seed(0)
random.seed(0)
V, H = len(vocab), 32


# from scratch GRU
def three():
    return (torch.randn(V, H) * 0.01, torch.randn(H, H) * 0.01, torch.zeros(H))


params = [*three(), *three(), *three(), torch.randn(H, V) * 0.01, torch.zeros(V)]
for p in params:
    p.requires_grad_(True)


def gru(inputs, state, params):
    Wxz, Whz, bz, Wxr, Whr, br, Wxh, Whh, bh, Whq, bq = params
    (Hs,) = state
    outs = []
    for X in inputs:
        Z = torch.sigmoid((X @ Wxz) + (Hs @ Whz) + bz)
        R = torch.sigmoid((X @ Wxr) + (Hs @ Whr) + br)
        Ht = torch.tanh((X @ Wxh) + ((R * Hs) @ Whh) + bh)
        Hs = Z * Hs + (1 - Z) * Ht
        outs.append(Hs @ Whq + bq)
    return torch.cat(outs, dim=0), (Hs,)


def grad_clipping(params, theta):
    norm = torch.sqrt(sum(torch.sum(p.grad**2) for p in params))
    if norm > theta:
        for p in params:
            p.grad[:] *= theta / norm


loss = nn.CrossEntropyLoss()
for epoch in range(3):
    state, tot, n = None, 0.0, 0
    for X, Y in seq_data_iter_sequential(corpus, 8, 16):
        state = (torch.zeros(8, H),) if state is None else tuple(s.detach_() for s in state)
        y = Y.T.reshape(-1)
        yh, state = gru(F.one_hot(X.T, V).type(torch.float32), state, params)
        l = loss(yh, y.long()).mean()
        l.backward()
        grad_clipping(params, 1)
        with torch.no_grad():
            for p in params:
                p -= 1.0 * p.grad
                p.grad.zero_()
        tot += l.item() * y.numel()
        n += y.numel()
    print(f"scratch perplexity {math.exp(tot / n):.2f}")


class RNNModel(nn.Module):
    def __init__(self, rnn, V):
        super().__init__()
        self.rnn, self.V = rnn, V
        self.H = rnn.hidden_size
        self.num_directions = 2 if rnn.bidirectional else 1
        self.linear = nn.Linear(self.H * self.num_directions, V)

    def forward(self, inputs, state):
        X = F.one_hot(inputs.T.long(), self.V).to(torch.float32)
        Y, state = self.rnn(X, state)
        return self.linear(Y.reshape((-1, Y.shape[-1]))), state

    def begin_state(self, bs=1):
        shape = (self.num_directions * self.rnn.num_layers, bs, self.H)
        return (
            torch.zeros(shape)
            if not isinstance(self.rnn, nn.LSTM)
            else (torch.zeros(shape), torch.zeros(shape))
        )


for name, rnn in (
    ("rnn", nn.RNN(V, H)),
    ("gru", nn.GRU(V, H, 2, dropout=0.1)),
    ("lstm", nn.LSTM(V, H)),
    ("bilstm", nn.LSTM(V, H, bidirectional=True)),
    ("relu", nn.RNN(V, H, nonlinearity="relu")),
):
    net = RNNModel(rnn, V)
    opt = torch.optim.Adam(net.parameters(), 1e-2)
    net.train()
    for epoch in range(2):
        tot = n = 0
        for X, Y in seq_data_iter_random(corpus, 8, 16):
            yh, _ = net(X, net.begin_state(8))
            l = loss(yh, Y.T.reshape(-1))
            opt.zero_grad()
            l.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            opt.step()
            tot += l.item() * Y.numel()
            n += Y.numel()
        print(name, f"{math.exp(tot / n):.2f}")
    net.eval()
    st = net.begin_state(1)
    out = [vocab["t"]]
    for _ in range(10):
        y, st = net(torch.tensor([[out[-1]]]), st)
        out.append(int(y.argmax(dim=1).reshape(1)))
    print("".join(vocab.idx[i] for i in out))
print(rnn, net)
