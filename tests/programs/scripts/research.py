"""Idioms of research code: losses, schedules, indexing tricks, samplers, packed sequences."""

import copy
import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)

torch.manual_seed(0)
np.random.seed(0)


# simclr
def info_nce_loss(features, n_views=2, temperature=0.07):
    bs = features.shape[0] // n_views
    labels = torch.cat([torch.arange(bs) for i in range(n_views)], dim=0)
    labels = (labels.unsqueeze(0) == labels.unsqueeze(1)).float()
    features = F.normalize(features, dim=1)
    sim = torch.matmul(features, features.T)
    mask = torch.eye(labels.shape[0], dtype=torch.bool)
    labels = labels[~mask].view(labels.shape[0], -1)
    sim = sim[~mask].view(sim.shape[0], -1)
    positives = sim[labels.bool()].view(labels.shape[0], -1)
    negatives = sim[~labels.bool()].view(sim.shape[0], -1)
    logits = torch.cat([positives, negatives], dim=1)
    labels = torch.zeros(logits.shape[0], dtype=torch.long)
    return logits / temperature, labels


f = torch.randn(8, 16, requires_grad=True)
lo, la = info_nce_loss(f)
l = F.cross_entropy(lo, la)
l.backward()
print(l, f.grad[0, :4], lo.shape)


class FocalLoss(nn.Module):
    def __init__(self, alpha=1, gamma=2, reduction="mean"):
        super().__init__()
        self.alpha, self.gamma, self.reduction = alpha, gamma, reduction

    def forward(self, inputs, targets):
        ce = F.cross_entropy(inputs, targets, reduction="none")
        pt = torch.exp(-ce)
        fl = self.alpha * (1 - pt) ** self.gamma * ce
        return getattr(torch, self.reduction)(fl)


x = torch.randn(6, 5, requires_grad=True)
y = torch.randint(5, (6,))
print(FocalLoss()(x, y))
print(
    nn.CrossEntropyLoss(label_smoothing=0.1)(x, y),
    nn.CrossEntropyLoss(weight=torch.rand(5), ignore_index=2)(x, y),
)


def smooth(pred, target, eps=0.1, classes=5):
    with torch.no_grad():
        td = torch.zeros_like(pred)
        td.fill_(eps / (classes - 1))
        td.scatter_(1, target.data.unsqueeze(1), 1 - eps)
    return torch.mean(torch.sum(-td * pred.log_softmax(dim=-1), dim=-1))


print(smooth(x, y))
lam = np.random.beta(1.0, 1.0)
idx = torch.randperm(6)
mixed = lam * x + (1 - lam) * x[idx]
print(
    lam, idx, (lam * F.cross_entropy(mixed, y) + (1 - lam) * F.cross_entropy(mixed, y[idx])).item()
)
print(
    F.kl_div(F.log_softmax(x / 4, 1), F.softmax(torch.randn(6, 5) / 4, 1), reduction="batchmean")
    * 16,
    F.triplet_margin_loss(x, x + 1, x - 1),
    F.cosine_embedding_loss(x, x.flip(0), torch.ones(6)),
    F.smooth_l1_loss(x, torch.zeros(6, 5)),
    F.huber_loss(x, torch.ones(6, 5)),
)


class EMA:
    def __init__(self, model, decay):
        self.m = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model):
        for e, p in zip(self.m.parameters(), model.parameters(), strict=False):
            e.mul_(self.decay).add_(p.data, alpha=1 - self.decay)
        for (_n1, b1), (_n2, b2) in zip(
            self.m.named_buffers(), model.named_buffers(), strict=False
        ):
            b1.copy_(b2)


net = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Linear(8, 5))
ema = EMA(net, 0.9)
o = torch.optim.AdamW(net.parameters(), 1e-2)


def lr_lambda(s, warm=3, total=10):
    if s < warm:
        return float(s) / float(max(1, warm))
    p = float(s - warm) / float(max(1, total - warm))
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * p)))


sch = torch.optim.lr_scheduler.LambdaLR(o, lr_lambda)
for i in range(8):
    l = F.cross_entropy(net(x.detach()), y) / 2
    l.backward()
    if (i + 1) % 2 == 0:
        gn = nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        o.step()
        sch.step()
        o.zero_grad()
        ema.update(net)
        print(i, l.item(), gn, sch.get_last_lr())
print(ema.m[0].weight[0])
print(sum(p.numel() for p in net.parameters() if p.requires_grad))
for n, p in net.named_parameters():
    print(n, p.shape, p.requires_grad)
sd = net.state_dict()
new = {("module." + k): v for k, v in sd.items()}
print(list(new))
stripped = {k.replace("module.", ""): v for k, v in new.items() if not k.startswith("module.3")}
r = net.load_state_dict(stripped, strict=False)
print(r, r.missing_keys)
for p in net[0].parameters():
    p.requires_grad_(False)
print([n for n, p in net.named_parameters() if p.requires_grad])
swa = torch.optim.swa_utils.AveragedModel(net)
swa.update_parameters(net)
print(swa.n_averaged)
# einsum attention, rearrangements
q, k, v = (torch.randn(2, 4, 5, 8) for _ in range(3))
a = torch.einsum("bhid,bhjd->bhij", q, k) / 8**0.5
print(
    torch.einsum("bhij,bhjd->bhid", a.softmax(-1), v)
    .permute(0, 2, 1, 3)
    .reshape(2, 5, 32)[0, 0, :5]
)
print(
    torch.einsum("ii", torch.eye(3)),
    torch.einsum("i,j->ij", torch.arange(3.0), torch.arange(2.0)),
    torch.einsum("...ij->...ji", q).shape,
)
img = torch.arange(2 * 3 * 4 * 4.0).reshape(2, 3, 4, 4)
pt = img.unfold(2, 2, 2).unfold(3, 2, 2)
print(pt.shape, pt.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)[0, 0])
print(
    F.unfold(img, 2, stride=2).shape,
    F.fold(F.unfold(img, 2, stride=2), (4, 4), 2, stride=2).equal(img),
)
print(F.pixel_shuffle(torch.arange(16.0).view(1, 4, 2, 2), 2))
print(F.interpolate(img[:1, :1], scale_factor=2, mode="bilinear", align_corners=False))
print(
    F.grid_sample(
        img[:1, :1],
        F.affine_grid(
            torch.tensor([[[0.5, 0, 0.1], [0, 1.0, 0]]]), (1, 1, 2, 2), align_corners=False
        ),
        align_corners=False,
    )
)
print(
    F.pad(torch.arange(4.0).view(1, 1, 2, 2), (1, 1, 1, 0), mode="reflect")
    if 0
    else F.pad(torch.arange(4.0).view(1, 1, 2, 2), (1, 1, 1, 0), value=9)
)


def rotate_half(x):
    x1, x2 = x.chunk(2, dim=-1)
    return torch.cat((-x2, x1), dim=-1)


inv = 1.0 / (10000 ** (torch.arange(0, 8, 2).float() / 8))
fr = torch.outer(torch.arange(5).float(), inv)
emb = torch.cat((fr, fr), -1)
print((q * emb.cos() + rotate_half(q) * emb.sin())[0, 0, 2])
fc = torch.polar(torch.ones_like(fr), fr)
print(
    torch.view_as_real(torch.view_as_complex(q.reshape(2, 4, 5, 4, 2)) * fc).flatten(3)[0, 0, 1],
    fc.dtype,
)
# scatter / gather / index tricks
src = torch.arange(10.0).view(2, 5)
ind = torch.tensor([[0, 1, 2, 0, 0], [0, 1, 4, 2, 3]])
print(
    torch.zeros(3, 5).scatter_add_(0, ind.clamp(max=2), src),
    torch.zeros(2, 5).scatter(1, ind, src),
    src.gather(1, ind),
    torch.zeros(3, 5).index_add_(0, torch.tensor([0, 2]), src),
    src.index_select(1, torch.tensor([4, 0])),
    torch.zeros(2, 5).scatter_reduce(1, ind, src, reduce="amax", include_self=False),
)
print(torch.unique(torch.tensor([3, 1, 2, 3, 1]), return_inverse=True, return_counts=True))
print(
    torch.bincount(torch.tensor([0, 1, 1, 3]), minlength=6),
    torch.bincount(torch.tensor([0, 1, 1]), weights=torch.tensor([0.5, 1, 2])),
)
print(
    torch.unique_consecutive(torch.tensor([1, 1, 2, 2, 3, 1])),
    torch.histc(torch.tensor([1.0, 2, 1]), 4, 0, 3),
    torch.bucketize(torch.tensor([3, 6, 9]), torch.tensor([1, 3, 5, 7])),
    torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([3]), right=True),
)
a, b = torch.randn(4, 3), torch.randn(6, 3)
d = torch.cdist(a, b)
print(d.topk(2, largest=False))
print(
    torch.where(a > 0, a, torch.zeros_like(a)),
    torch.where(a > 1),
    a.masked_select(a > 0),
    torch.nonzero(a > 0.5),
    (a > 0.5).nonzero(as_tuple=True)[0],
)
s, i = a.sort(dim=1, descending=True)
print(s, i, a.argsort(0))
cm = torch.zeros(3, 3, dtype=torch.int64)
for t, p in zip(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 2, 2, 1]), strict=False):
    cm[t.long(), p.long()] += 1
print(cm, cm.diag() / cm.sum(1))
print(torch.stack([torch.tensor([0, 1, 2]), torch.tensor([0, 2, 2])]).unique(dim=1))
print(
    F.one_hot(torch.tensor([1, 0]), 3),
    torch.diag_embed(torch.ones(2)),
    torch.block_diag(torch.ones(1, 2), torch.ones(2, 1)),
    torch.cartesian_prod(torch.arange(2), torch.arange(2)),
    torch.combinations(torch.arange(3)),
    torch.tril_indices(3, 3),
    torch.triu(torch.ones(3, 3), 1).bool(),
    torch.logsumexp(a, 1),
    a.clamp(-1, 0.5),
    torch.lerp(a[0], a[1], 0.5),
    a.norm(dim=1),
    a.roll(1, 0)[0],
    torch.cumsum(a, 0)[-1],
    a.std(),
    a.var(0, unbiased=False),
    a.median(),
    a.kthvalue(2, 0).values,
    a.quantile(0.5),
    torch.allclose(a, a + 1e-9),
    a.flip(0)[0],
    torch.rot90(a).shape,
    a.mode(0).values.shape,
)
npa = a.numpy()
npa[0, 0] = 5
print(
    a[0, 0],
    np.mean(a.numpy()),
    torch.as_tensor([1.0, 2]).numpy().dtype,
    torch.from_numpy(np.array([1, 2], dtype=np.int32)).dtype,
    np.asarray(a).shape,
    torch.tensor(np.float64(3)).dtype,
    torch.tensor(np.arange(3)) + 1,
    np.sqrt(a.abs()).__class__.__name__,
    a.tolist()[0][:1],
    len(a),
    a.T.is_contiguous(),
    a.stride(),
    a.storage_offset(),
    a[1].storage_offset(),
    a.data_ptr() == a[0].data_ptr(),
    a.element_size(),
)


class DS(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return {"x": torch.full((i % 3 + 1,), float(i)), "y": i % 2}


def collate(batch):
    xs = [b["x"] for b in batch]
    return (
        nn.utils.rnn.pad_sequence(xs, batch_first=True),
        torch.tensor([len(x) for x in xs]),
        torch.tensor([b["y"] for b in batch]),
    )


for w in (0, 2):
    for b in DataLoader(
        DS(7), batch_size=3, collate_fn=collate, num_workers=w, shuffle=False, drop_last=True
    ):
        print(b)
tr, va = random_split(DS(10), [7, 3])
print(tr.indices, va.indices, len(tr), type(tr).__name__)
tr, va = random_split(range(10), [0.8, 0.2], generator=torch.Generator().manual_seed(42))
print(list(tr), list(va))
print(
    list(Subset(list("abcdef"), [0, 3])),
    list(BatchSampler(SequentialSampler(range(5)), 2, False)),
    list(RandomSampler(range(5))),
    list(WeightedRandomSampler([0.1, 0.9, 0.5], 6, replacement=True)),
    list(SubsetRandomSampler([3, 4, 5])),
    len(ConcatDataset([DS(2), DS(3)])),
)
print(
    next(
        iter(
            DataLoader(
                TensorDataset(torch.arange(6), torch.arange(6) * 2),
                batch_size=4,
                shuffle=True,
                generator=torch.Generator().manual_seed(0),
            )
        )
    )
)
print(list(DataLoader([{"a": 1, "b": 2.5, "c": "x", "d": (1, 2)}] * 2, batch_size=2)))
print(list(DataLoader(np.arange(5).astype("float32"), batch_size=2)))


class It(IterableDataset):
    def __iter__(self):
        wi = torch.utils.data.get_worker_info()
        yield from range(0 if wi is None else wi.id, 6, 1 if wi is None else wi.num_workers)


print(list(DataLoader(It(), batch_size=2)), list(DataLoader(It(), batch_size=2, num_workers=2)))
p = nn.utils.rnn.pack_padded_sequence(
    torch.arange(12.0).view(2, 3, 2), torch.tensor([3, 2]), batch_first=True
)
print(p)
r = nn.GRU(2, 3, batch_first=True)
out, h = r(p)
print(nn.utils.rnn.pad_packed_sequence(out, batch_first=True)[1], h)
