"""Sequence to sequence: attention from scratch, masked losses, Transformers."""

import math

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)


def sequence_mask(X, valid_len, value=0):
    maxlen = X.size(1)
    mask = torch.arange(maxlen, dtype=torch.float32, device=X.device)[None, :] < valid_len[:, None]
    X[~mask] = value
    return X


def masked_softmax(X, valid_lens):
    if valid_lens is None:
        return F.softmax(X, dim=-1)
    shape = X.shape
    valid_lens = (
        torch.repeat_interleave(valid_lens, shape[1])
        if valid_lens.dim() == 1
        else valid_lens.reshape(-1)
    )
    return F.softmax(
        sequence_mask(X.reshape(-1, shape[-1]), valid_lens, value=-1e6).reshape(shape), dim=-1
    )


print(
    masked_softmax(torch.rand(2, 2, 4), torch.tensor([2, 3])),
    masked_softmax(torch.rand(2, 2, 4), torch.tensor([[1, 3], [2, 4]])),
)


class AdditiveAttention(nn.Module):
    def __init__(self, k, q, h, dropout):
        super().__init__()
        self.W_k = nn.Linear(k, h, bias=False)
        self.W_q = nn.Linear(q, h, bias=False)
        self.w_v = nn.Linear(h, 1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries, keys, values, valid_lens):
        queries, keys = self.W_q(queries), self.W_k(keys)
        scores = self.w_v(torch.tanh(queries.unsqueeze(2) + keys.unsqueeze(1))).squeeze(-1)
        self.attention_weights = masked_softmax(scores, valid_lens)
        return torch.bmm(self.dropout(self.attention_weights), values)


class MaskedSoftmaxCELoss(nn.CrossEntropyLoss):
    def forward(self, pred, label, valid_len):
        weights = sequence_mask(torch.ones_like(label), valid_len)
        self.reduction = "none"
        return (super().forward(pred.permute(0, 2, 1), label) * weights).mean(dim=1)


print(
    MaskedSoftmaxCELoss()(
        torch.ones(3, 4, 10), torch.ones((3, 4), dtype=torch.long), torch.tensor([4, 2, 0])
    )
)


class Encoder(nn.Module):
    def __init__(self, V, E, H, L, dropout=0):
        super().__init__()
        self.embedding = nn.Embedding(V, E)
        self.rnn = nn.GRU(E, H, L, dropout=dropout)

    def forward(self, X, *args):
        return self.rnn(self.embedding(X).permute(1, 0, 2))


class Decoder(nn.Module):
    def __init__(self, V, E, H, L, dropout=0):
        super().__init__()
        self.attention = AdditiveAttention(H, H, H, dropout)
        self.embedding = nn.Embedding(V, E)
        self.rnn = nn.GRU(E + H, H, L, dropout=dropout)
        self.dense = nn.Linear(H, V)

    def init_state(self, enc, lens, *a):
        o, h = enc
        return (o.permute(1, 0, 2), h, lens)

    def forward(self, X, state):
        enc, h, lens = state
        X = self.embedding(X).permute(1, 0, 2)
        outs, self._w = [], []
        for x in X:
            q = torch.unsqueeze(h[-1], dim=1)
            c = self.attention(q, enc, enc, lens)
            x = torch.cat((c, torch.unsqueeze(x, dim=1)), dim=-1)
            o, h = self.rnn(x.permute(1, 0, 2), h)
            outs.append(o)
            self._w.append(self.attention.attention_weights)
        return self.dense(torch.cat(outs, 0)).permute(1, 0, 2), [enc, h, lens]


V = 20
src = torch.randint(4, V, (64, 7))
lens = torch.randint(3, 8, (64,))
src = sequence_mask(src, lens, 1)
tgt = src.flip(1)
enc, dec = Encoder(V, 16, 24, 2, 0.1), Decoder(V, 16, 24, 2, 0.1)


def xavier(m):
    if type(m) == nn.Linear:
        nn.init.xavier_uniform_(m.weight)
    if type(m) == nn.GRU:
        for p in m._flat_weights_names:
            if "weight" in p:
                nn.init.xavier_uniform_(m._parameters[p])


enc.apply(xavier)
dec.apply(xavier)
opt = torch.optim.Adam([*enc.parameters(), *dec.parameters()], lr=0.005)
crit = MaskedSoftmaxCELoss()
for step in range(20):
    opt.zero_grad()
    bos = torch.tensor([2] * 64).reshape(-1, 1)
    inp = torch.cat([bos, tgt[:, :-1]], 1)
    out, _ = dec(inp, dec.init_state(enc(src), lens))
    l = crit(out, tgt, lens)
    l.sum().backward()
    g = nn.utils.clip_grad_norm_([*enc.parameters(), *dec.parameters()], 1)
    opt.step()
    if step % 5 == 4:
        print(step, f"{l.mean().item():.4f} {g.item():.3f}")
enc.eval()
dec.eval()
with torch.no_grad():
    st = dec.init_state(enc(src[:1]), lens[:1])
    x = torch.tensor([[2]])
    seq = []
    for _ in range(7):
        y, st = dec(x, st)
        x = y.argmax(dim=2)
        seq.append(x.squeeze(dim=0).type(torch.int32).item())
print(seq, torch.cat([w[0] for w in dec._w]).shape)


# transformer from scratch & built in
class PositionalEncoding(nn.Module):
    def __init__(self, H, dropout, max_len=100):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.P = torch.zeros((1, max_len, H))
        X = torch.arange(max_len, dtype=torch.float32).reshape(-1, 1) / torch.pow(
            10000, torch.arange(0, H, 2, dtype=torch.float32) / H
        )
        self.P[:, :, 0::2] = torch.sin(X)
        self.P[:, :, 1::2] = torch.cos(X)

    def forward(self, X):
        return self.dropout(X + self.P[:, : X.shape[1], :].to(X.device))


pe = PositionalEncoding(16, 0)
pe.eval()
print(pe(torch.zeros(1, 6, 16))[0, :3, :5])
mha = nn.MultiheadAttention(16, 4, dropout=0.1, batch_first=True)
mask = nn.Transformer.generate_square_subsequent_mask(6)
o, w = mha(
    torch.randn(2, 6, 16),
    torch.randn(2, 6, 16),
    torch.randn(2, 6, 16),
    attn_mask=mask,
    need_weights=True,
)
print(o[0, :2, :3], w[0, 2])
tr = nn.Transformer(
    16, 4, 2, 2, 32, dropout=0.1, batch_first=True, activation="gelu", norm_first=True
)
emb, gen = nn.Embedding(V, 16), nn.Linear(16, V, bias=False)
gen.weight = emb.weight
opt = torch.optim.AdamW(
    {*tr.parameters(), *emb.parameters()}
    if False
    else list(tr.parameters()) + list(emb.parameters()),
    lr=3e-3,
    betas=(0.9, 0.98),
    eps=1e-9,
)
sch = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: min((s + 1) ** -0.5, (s + 1) * 4**-1.5))
for step in range(8):
    pad = src == 1
    inp = torch.cat([torch.full((64, 1), 2), tgt[:, :-1]], 1)
    out = gen(
        tr(
            pe(emb(src) * math.sqrt(16)),
            pe(emb(inp)),
            tgt_mask=nn.Transformer.generate_square_subsequent_mask(7),
            src_key_padding_mask=pad,
            memory_key_padding_mask=pad,
        )
    )
    l = F.cross_entropy(out.reshape(-1, V), tgt.reshape(-1), ignore_index=1, label_smoothing=0.1)
    opt.zero_grad()
    l.backward()
    opt.step()
    sch.step()
    print(f"{l.item():.4f} {sch.get_last_lr()[0]:.6f}")
encl = nn.TransformerEncoder(
    nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2, enable_nested_tensor=False
).eval()
print(
    encl(
        torch.randn(2, 5, 16),
        src_key_padding_mask=torch.tensor([[False] * 5, [False, False, True, True, True]]),
    )[:, 0, :3]
)
