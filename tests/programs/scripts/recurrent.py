"""Recurrent networks by hand and with layers; an encoder and decoder; masked losses."""

import math
import random

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
random.seed(0)
print(F.one_hot(torch.tensor([0, 2]), 5))
X = torch.arange(10).reshape((2, 5))
print(F.one_hot(X.T, 28).shape)
text = (
    "the time traveller for so it will be convenient to speak of him was expounding a recondite matter to us his grey eyes shone and twinkled "
    * 3
)
vocab = sorted(set(text))
idx = {c: i for i, c in enumerate(vocab)}
corpus = torch.tensor([idx[c] for c in text])
V = len(vocab)


def batches(bs, T):
    for i in range(0, len(corpus) - bs * T - 1, bs * T):
        xs = corpus[i : i + bs * T].reshape(bs, T)
        ys = corpus[i + 1 : i + 1 + bs * T].reshape(bs, T)
        yield xs, ys


def get_params(V, H):
    def normal(shape):
        return torch.randn(size=shape) * 0.01

    p = [normal((V, H)), normal((H, H)), torch.zeros(H), normal((H, V)), torch.zeros(V)]
    for x in p:
        x.requires_grad_(True)
    return p


def rnn(inputs, state, params):
    W_xh, W_hh, b_h, W_hq, b_q = params
    (H,) = state
    outputs = []
    for X in inputs:
        H = torch.tanh(torch.mm(X, W_xh) + torch.mm(H, W_hh) + b_h)
        outputs.append(torch.mm(H, W_hq) + b_q)
    return torch.cat(outputs, dim=0), (H,)


def grad_clipping(params, theta):
    norm = torch.sqrt(sum(torch.sum(p.grad**2) for p in params))
    if norm > theta:
        for param in params:
            param.grad[:] *= theta / norm
    return norm


params = get_params(V, 16)
loss = nn.CrossEntropyLoss()
for epoch in range(3):
    state = None
    tot = 0
    n = 0
    for X, Y in batches(4, 8):
        if state is None:
            state = (torch.zeros((4, 16)),)
        else:
            for s in state:
                s.detach_()
        y_hat, state = rnn(F.one_hot(X.T, V).type(torch.float32), state, params)
        y = Y.T.reshape(-1)
        l = loss(y_hat, y.long()).mean()
        for p in params:
            p.grad = None
        l.backward()
        g = grad_clipping(params, 1)
        with torch.no_grad():
            for p in params:
                p -= 1.0 * p.grad
        tot += l * y.numel()
        n += y.numel()
    print(epoch, "ppl", math.exp(tot / n), g)
for layer in (
    nn.RNN(V, 16),
    nn.GRU(V, 16),
    nn.LSTM(V, 16, 2, dropout=0.1),
    nn.RNN(V, 16, nonlinearity="relu"),
    nn.GRU(V, 16, bidirectional=True),
):
    print(layer)
    out = nn.Linear(16 * (2 if layer.bidirectional else 1), V)
    opt = torch.optim.SGD(list(layer.parameters()) + list(out.parameters()), lr=0.5)
    for e in range(2):
        for X, Y in batches(4, 8):
            H, state = layer(F.one_hot(X.T.long(), V).float())
            l = F.cross_entropy(out(H.reshape((-1, H.shape[-1]))), Y.T.reshape(-1))
            opt.zero_grad()
            l.backward()
            nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
            opt.step()
        print(
            e,
            l.item(),
            H.shape,
            [s.shape for s in state] if isinstance(state, tuple) else state.shape,
        )
    print([(n, tuple(p.shape)) for n, p in layer.named_parameters()])
print(layer.weight_ih_l0[:2, :5], layer.all_weights[0][0].shape)


class Encoder(nn.Module):
    def __init__(self, v, e, h, n, dropout=0):
        super().__init__()
        self.embedding = nn.Embedding(v, e)
        self.rnn = nn.GRU(e, h, n, dropout=dropout)
        self.apply(init_seq2seq)

    def forward(self, X, *args):
        embs = self.embedding(X.t().type(torch.int64))
        return self.rnn(embs)


def init_seq2seq(module):
    if type(module) == nn.Linear:
        nn.init.xavier_uniform_(module.weight)
    if type(module) == nn.GRU:
        for param in module._flat_weights_names:
            if "weight" in param:
                nn.init.xavier_uniform_(module._parameters[param])


class Decoder(nn.Module):
    def __init__(self, v, e, h, n, dropout=0):
        super().__init__()
        self.embedding = nn.Embedding(v, e)
        self.rnn = nn.GRU(e + h, h, n, dropout=dropout)
        self.dense = nn.LazyLinear(v)
        self.apply(init_seq2seq)

    def init_state(self, enc):
        return enc

    def forward(self, X, state):
        embs = self.embedding(X.t().type(torch.int32))
        enc_output, hidden_state = state
        context = enc_output[-1].repeat(embs.shape[0], 1, 1)
        outputs, hidden_state = self.rnn(torch.cat((embs, context), -1), hidden_state)
        return self.dense(outputs).swapaxes(0, 1), [enc_output, hidden_state]


enc, dec = Encoder(10, 8, 16, 2), Decoder(10, 8, 16, 2)
X = torch.zeros((4, 7))
o, s = enc(X)
print(o.shape, s.shape)
y, st = dec(X, enc(X))
print(y.shape, len(st), y[0, 0])


def sequence_mask(X, valid_len, value=0):
    maxlen = X.size(1)
    mask = (
        torch.arange((maxlen), dtype=torch.float32, device=X.device)[None, :] < valid_len[:, None]
    )
    X[~mask] = value
    return X


X = torch.tensor([[1, 2, 3], [4, 5, 6]])
print(sequence_mask(X, torch.tensor([1, 2])))
X = torch.ones(2, 3, 4)
print(sequence_mask(X, torch.tensor([1, 2]), value=-1))


class MaskedSoftmaxCELoss(nn.CrossEntropyLoss):
    def forward(self, pred, label, valid_len):
        weights = torch.ones_like(label)
        weights = sequence_mask(weights, valid_len)
        self.reduction = "none"
        unweighted_loss = super().forward(pred.permute(0, 2, 1), label)
        return (unweighted_loss * weights).mean(dim=1)


print(
    MaskedSoftmaxCELoss()(
        torch.ones(3, 4, 10), torch.ones((3, 4), dtype=torch.long), torch.tensor([4, 2, 0])
    )
)
opt = torch.optim.Adam(list(enc.parameters()) + list(dec.parameters()), lr=0.005)
src = torch.randint(0, 10, (6, 7))
tgt = torch.randint(0, 10, (6, 7))
vl = torch.tensor([7, 3, 5, 2, 7, 1])
for e in range(4):
    opt.zero_grad()
    bos = torch.tensor([1] * 6).reshape(-1, 1)
    di = torch.cat([bos, tgt[:, :-1]], 1)
    yh, _ = dec(di, enc(src))
    l = MaskedSoftmaxCELoss()(yh, tgt, vl)
    l.sum().backward()
    opt.step()
    print(l.sum().item())
