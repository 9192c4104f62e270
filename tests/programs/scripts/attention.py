"""Attention with masks, several heads, transformers, masked words."""

import math

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)


def masked_softmax(X, valid_lens):
    def _sequence_mask(X, valid_len, value=0):
        maxlen = X.size(1)
        mask = (
            torch.arange((maxlen), dtype=torch.float32, device=X.device)[None, :]
            < valid_len[:, None]
        )
        X[~mask] = value
        return X

    if valid_lens is None:
        return nn.functional.softmax(X, dim=-1)
    shape = X.shape
    if valid_lens.dim() == 1:
        valid_lens = torch.repeat_interleave(valid_lens, shape[1])
    else:
        valid_lens = valid_lens.reshape(-1)
    X = _sequence_mask(X.reshape(-1, shape[-1]), valid_lens, value=-1e6)
    return nn.functional.softmax(X.reshape(shape), dim=-1)


print(masked_softmax(torch.rand(2, 2, 4), torch.tensor([2, 3])))
print(masked_softmax(torch.rand(2, 2, 4), torch.tensor([[1, 3], [2, 4]])))
Q = torch.ones((2, 3, 4))
K = torch.ones((2, 4, 6))
print(torch.bmm(Q, K).shape)


class DotProductAttention(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries, keys, values, valid_lens=None):
        d = queries.shape[-1]
        scores = torch.bmm(queries, keys.transpose(1, 2)) / math.sqrt(d)
        self.attention_weights = masked_softmax(scores, valid_lens)
        return torch.bmm(self.dropout(self.attention_weights), values)


queries = torch.normal(0, 1, (2, 1, 2))
keys = torch.normal(0, 1, (2, 10, 2))
values = torch.normal(0, 1, (2, 10, 4))
valid_lens = torch.tensor([2, 6])
attention = DotProductAttention(dropout=0.5)
attention.eval()
print(attention(queries, keys, values, valid_lens), attention.attention_weights)


class AdditiveAttention(nn.Module):
    def __init__(self, num_hiddens, dropout, **kwargs):
        super().__init__(**kwargs)
        self.W_k = nn.LazyLinear(num_hiddens, bias=False)
        self.W_q = nn.LazyLinear(num_hiddens, bias=False)
        self.w_v = nn.LazyLinear(1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries, keys, values, valid_lens):
        queries, keys = self.W_q(queries), self.W_k(keys)
        features = queries.unsqueeze(2) + keys.unsqueeze(1)
        features = torch.tanh(features)
        scores = self.w_v(features).squeeze(-1)
        self.attention_weights = masked_softmax(scores, valid_lens)
        return torch.bmm(self.dropout(self.attention_weights), values)


queries = torch.normal(0, 1, (2, 1, 20))
a = AdditiveAttention(num_hiddens=8, dropout=0.1)
a.eval()
print(a(queries, keys, values, valid_lens))
print(a)


class MultiHeadAttention(nn.Module):
    def __init__(self, num_hiddens, num_heads, dropout, bias=False, **kwargs):
        super().__init__()
        self.num_heads = num_heads
        self.attention = DotProductAttention(dropout)
        self.W_q = nn.LazyLinear(num_hiddens, bias=bias)
        self.W_k = nn.LazyLinear(num_hiddens, bias=bias)
        self.W_v = nn.LazyLinear(num_hiddens, bias=bias)
        self.W_o = nn.LazyLinear(num_hiddens, bias=bias)

    def transpose_qkv(self, X):
        X = X.reshape(X.shape[0], X.shape[1], self.num_heads, -1)
        X = X.permute(0, 2, 1, 3)
        return X.reshape(-1, X.shape[2], X.shape[3])

    def transpose_output(self, X):
        X = X.reshape(-1, self.num_heads, X.shape[1], X.shape[2])
        X = X.permute(0, 2, 1, 3)
        return X.reshape(X.shape[0], X.shape[1], -1)

    def forward(self, queries, keys, values, valid_lens):
        queries = self.transpose_qkv(self.W_q(queries))
        keys = self.transpose_qkv(self.W_k(keys))
        values = self.transpose_qkv(self.W_v(values))
        if valid_lens is not None:
            valid_lens = torch.repeat_interleave(valid_lens, repeats=self.num_heads, dim=0)
        return self.W_o(self.transpose_output(self.attention(queries, keys, values, valid_lens)))


class PositionalEncoding(nn.Module):
    def __init__(self, num_hiddens, dropout, max_len=1000):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.P = torch.zeros((1, max_len, num_hiddens))
        X = torch.arange(max_len, dtype=torch.float32).reshape(-1, 1) / torch.pow(
            10000, torch.arange(0, num_hiddens, 2, dtype=torch.float32) / num_hiddens
        )
        self.P[:, :, 0::2] = torch.sin(X)
        self.P[:, :, 1::2] = torch.cos(X)

    def forward(self, X):
        X = X + self.P[:, : X.shape[1], :].to(X.device)
        return self.dropout(X)


pe = PositionalEncoding(32, 0)
pe.eval()
X = pe(torch.zeros((1, 60, 32)))
P = pe.P[:, : X.shape[1], :]
print(P[0, :3, 6:10], P.sum())


class AddNorm(nn.Module):
    def __init__(self, norm_shape, dropout):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.ln = nn.LayerNorm(norm_shape)

    def forward(self, X, Y):
        return self.ln(self.dropout(Y) + X)


class Block(nn.Module):
    def __init__(self, h, f, heads, dropout):
        super().__init__()
        self.attention = MultiHeadAttention(h, heads, dropout, False)
        self.addnorm1 = AddNorm(h, dropout)
        self.ffn = nn.Sequential(nn.LazyLinear(f), nn.ReLU(), nn.LazyLinear(h))
        self.addnorm2 = AddNorm(h, dropout)

    def forward(self, X, valid_lens):
        Y = self.addnorm1(X, self.attention(X, X, X, valid_lens))
        return self.addnorm2(Y, self.ffn(Y))


class Enc(nn.Module):
    def __init__(self, v, h, f, heads, n, dropout):
        super().__init__()
        self.h = h
        self.embedding = nn.Embedding(v, h)
        self.pos_encoding = PositionalEncoding(h, dropout)
        self.blks = nn.Sequential()
        for i in range(n):
            self.blks.add_module("block" + str(i), Block(h, f, heads, dropout))

    def forward(self, X, valid_lens):
        X = self.pos_encoding(self.embedding(X) * math.sqrt(self.h))
        for blk in self.blks:
            X = blk(X, valid_lens)
        return X


e = Enc(20, 24, 48, 8, 2, 0.1)
X = torch.randint(0, 20, (2, 10))
print(e(X, torch.tensor([3, 2])).shape)
print(e)
lin = nn.Linear(24, 20)
o = torch.optim.Adam([*e.parameters(), *lin.parameters()], lr=1e-2)
for _i in range(4):
    o.zero_grad()
    l = F.cross_entropy(lin(e(X, torch.tensor([3, 8]))).flatten(0, 1), X.flatten())
    l.backward()
    o.step()
    print(l.item())
ln = nn.LayerNorm(2)
bn = nn.LazyBatchNorm1d()
X = torch.tensor([[1, 2], [2, 3]], dtype=torch.float32)
print("layer norm:", ln(X), "\nbatch norm:", bn(X))
mha = nn.MultiheadAttention(24, 4, batch_first=True, dropout=0.1)
x = torch.randn(2, 5, 24)
o, w = mha(x, x, x, key_padding_mask=torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]).bool())
print(mha, o.shape, w)
mask = nn.Transformer.generate_square_subsequent_mask(5)
print(mask)
mha.eval()
print(mha(x, x, x, attn_mask=mask, need_weights=False))
tr = nn.Transformer(16, 4, 2, 2, 32, batch_first=True)
print(tr)
tr.eval()
print(
    tr(
        torch.randn(2, 5, 16),
        torch.randn(2, 3, 16),
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(3),
    )[0]
)
print(
    F.scaled_dot_product_attention(
        x.view(2, 5, 4, 6).transpose(1, 2),
        x.view(2, 5, 4, 6).transpose(1, 2),
        x.view(2, 5, 4, 6).transpose(1, 2),
        is_causal=True,
    ).sum()
)


# patch embedding / ViT
class PatchEmbedding(nn.Module):
    def __init__(self, img_size=96, patch_size=16, num_hiddens=512):
        super().__init__()
        self.num_patches = (img_size // patch_size) ** 2
        self.conv = nn.LazyConv2d(num_hiddens, kernel_size=patch_size, stride=patch_size)

    def forward(self, X):
        return self.conv(X).flatten(2).transpose(1, 2)


print(PatchEmbedding(32, 8, 16)(torch.zeros(2, 3, 32, 32)).shape)


# BERT masked lm
class MaskLM(nn.Module):
    def __init__(self, vocab_size, num_hiddens):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.LazyLinear(num_hiddens),
            nn.ReLU(),
            nn.LayerNorm(num_hiddens),
            nn.LazyLinear(vocab_size),
        )

    def forward(self, X, pred_positions):
        n = pred_positions.shape[1]
        pred_positions = pred_positions.reshape(-1)
        b = X.shape[0]
        batch_idx = torch.arange(0, b)
        batch_idx = torch.repeat_interleave(batch_idx, n)
        m = X[batch_idx, pred_positions]
        return self.mlp(m.reshape((b, n, -1)))


mlm = MaskLM(30, 24)
r = mlm(e(torch.randint(0, 20, (2, 8)), None), torch.tensor([[1, 5, 2], [6, 1, 5]]))
print(
    r.shape,
    nn.CrossEntropyLoss(reduction="none")(
        r.reshape((-1, 30)), torch.tensor([[7, 8, 9], [10, 20, 25]]).reshape(-1)
    ),
)
