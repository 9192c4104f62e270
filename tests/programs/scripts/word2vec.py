"""Word vectors by negative sampling; bags of embeddings."""

import collections
import random

import torch
from torch import nn

random.seed(0)
torch.manual_seed(0)
sentences = [
    [random.choice("abcdefghijklmnopqrst") for _ in range(random.randint(5, 15))] for _ in range(80)
]
counter = collections.Counter(t for s in sentences for t in s)
words = sorted(counter)
idx = {w: i for i, w in enumerate(words)}
corpus = [[idx[t] for t in s] for s in sentences]


def centers_contexts(corpus, mw):
    c, ctx = [], []
    for line in corpus:
        if len(line) < 2:
            continue
        c += line
        for i in range(len(line)):
            w = random.randint(1, mw)
            ind = list(range(max(0, i - w), min(len(line), i + 1 + w)))
            ind.remove(i)
            ctx.append([line[k] for k in ind])
    return c, ctx


all_c, all_ctx = centers_contexts(corpus, 3)
weights = [counter[w] ** 0.75 for w in words]
gen = torch.Generator().manual_seed(1)


def negatives(ctxs, K):
    out = []
    for ctx in ctxs:
        neg = []
        while len(neg) < len(ctx) * K:
            n = int(torch.multinomial(torch.tensor(weights), 1, generator=gen))
            if n not in ctx:
                neg.append(n)
        out.append(neg)
    return out


sub = slice(0, 200)
all_neg = negatives(all_ctx[sub], 3)


def batchify(data):
    max_len = max(len(c) + len(n) for _, c, n in data)
    ce, cn, m, l = [], [], [], []
    for c, ctx, neg in data:
        cur = len(ctx) + len(neg)
        ce += [c]
        cn += [ctx + neg + [0] * (max_len - cur)]
        m += [[1] * cur + [0] * (max_len - cur)]
        l += [[1] * len(ctx) + [0] * (max_len - len(ctx))]
    return torch.tensor(ce).reshape((-1, 1)), torch.tensor(cn), torch.tensor(m), torch.tensor(l)


class DS(torch.utils.data.Dataset):
    def __init__(self, a, b, c):
        assert len(a) == len(b) == len(c)
        self.a, self.b, self.c = a, b, c

    def __getitem__(self, i):
        return self.a[i], self.b[i], self.c[i]

    def __len__(self):
        return len(self.a)


dl = torch.utils.data.DataLoader(
    DS(all_c[sub], all_ctx[sub], all_neg), 64, shuffle=True, collate_fn=batchify
)
for batch in dl:
    print([t.shape for t in batch])
    break
V, E = len(words), 16
net = nn.Sequential(nn.Embedding(V, E), nn.Embedding(V, E))


def skip_gram(c, cn, ev, eu):
    return torch.bmm(ev(c), eu(cn).permute(0, 2, 1))


class SigmoidBCELoss(nn.Module):
    def forward(self, inputs, target, mask=None):
        return nn.functional.binary_cross_entropy_with_logits(
            inputs, target, weight=mask, reduction="none"
        ).mean(dim=1)


loss = SigmoidBCELoss()
print(
    loss(
        torch.tensor([[1.1, -2.2, 3.3, -4.4]] * 2),
        torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0]]),
        torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]),
    )
)


def init(m):
    if type(m) == nn.Embedding:
        nn.init.xavier_uniform_(m.weight)


net.apply(init)
opt = torch.optim.Adam(net.parameters(), lr=0.02)
for e in range(4):
    tot = 0
    for c, cn, m, l in dl:
        opt.zero_grad()
        p = skip_gram(c, cn, net[0], net[1])
        ls = loss(p.reshape(l.shape).float(), l.float(), m) / m.sum(axis=1) * m.shape[1]
        ls.sum().backward()
        opt.step()
        tot += ls.sum().item()
    print(f"{tot:.4f}")
W = net[0].weight.data
x = W[3]
cos = torch.mv(W, x) / torch.sqrt(torch.sum(W * W, dim=1) * torch.sum(x * x) + 1e-9)
top = torch.topk(cos, k=4)[1].cpu().numpy().astype("int32")
print(top, cos[top[1:].tolist()])
print(nn.CosineSimilarity()(W[:3], W[3:6]), torch.cdist(W[:3], W[:2]))
bag = nn.EmbeddingBag(V, E, mode="mean", padding_idx=0)
print(bag(torch.tensor([1, 2, 4, 5, 4, 3]), torch.tensor([0, 3])).sum(1))
sp = nn.Embedding(V, 4, sparse=False, max_norm=1.0)
print(sp(torch.tensor([[1, 2], [3, 3]])).norm(dim=-1))
print(
    nn.Embedding.from_pretrained(torch.eye(3), freeze=True)(torch.tensor([2, 0])),
    nn.EmbeddingBag(3, 2).weight.shape,
)
