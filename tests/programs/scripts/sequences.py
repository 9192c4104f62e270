"""Text CNNs, packed LSTMs, time series, a U-Net."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)


class TextCNN(nn.Module):
    def __init__(self, V, E, ks, nc):
        super().__init__()
        self.embedding = nn.Embedding(V, E)
        self.constant_embedding = nn.Embedding(V, E)
        self.dropout = nn.Dropout(0.5)
        self.decoder = nn.Linear(sum(nc), 2)
        self.pool = nn.AdaptiveAvgPool1d(1)
        self.relu = nn.ReLU()
        self.convs = nn.ModuleList()
        for c, k in zip(nc, ks, strict=False):
            self.convs.append(nn.Conv1d(2 * E, c, k))
        self.constant_embedding.weight.requires_grad = False

    def forward(self, x):
        e = torch.cat((self.embedding(x), self.constant_embedding(x)), dim=2).permute(0, 2, 1)
        return self.decoder(
            self.dropout(
                torch.cat(
                    [torch.squeeze(self.relu(self.pool(conv(e))), dim=-1) for conv in self.convs],
                    dim=1,
                )
            )
        )


net = TextCNN(50, 8, [3, 4, 5], [6, 6, 6])
opt = torch.optim.Adam(filter(lambda p: p.requires_grad, net.parameters()), lr=1e-2)
X, y = torch.randint(0, 50, (64, 20)), torch.randint(0, 2, (64,))
for i in range(5):
    l = F.cross_entropy(net(X), y)
    opt.zero_grad()
    l.backward()
    opt.step()
    print(f"{l:.4f}", end=" ")
print()


class BiRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(50, 8, padding_idx=0)
        self.enc = nn.LSTM(8, 10, num_layers=2, bidirectional=True, batch_first=True, dropout=0.2)
        self.fc = nn.Linear(40, 2)

    def forward(self, x, lens):
        p = pack_padded_sequence(self.emb(x), lens.cpu(), batch_first=True, enforce_sorted=False)
        o, (h, _c) = self.enc(p)
        o, _l = pad_packed_sequence(o, batch_first=True)
        return self.fc(torch.cat([o.mean(1), h[-2], h[-1]], 1))


class DS(Dataset):
    def __init__(self):
        g = torch.Generator().manual_seed(2)
        self.d = [
            (torch.randint(1, 50, (int(n),), generator=g), int(n) % 2)
            for n in torch.randint(3, 12, (40,), generator=g)
        ]

    def __len__(self):
        return len(self.d)

    def __getitem__(self, i):
        return self.d[i]


def collate(b):
    xs, ys = zip(*b, strict=False)
    return pad_sequence(xs, batch_first=True), torch.tensor([len(x) for x in xs]), torch.tensor(ys)


m = BiRNN()
opt = torch.optim.RMSprop(m.parameters(), 1e-2, alpha=0.9, centered=True)
for ep in range(2):
    for x, n, t in DataLoader(DS(), 8, shuffle=True, collate_fn=collate):
        l = F.cross_entropy(m(x, n), t)
        opt.zero_grad()
        l.backward()
        nn.utils.clip_grad_norm_(m.parameters(), 0.5)
        opt.step()
    print(ep, f"{l.item():.4f}")
print(m.emb.weight.grad[0].abs().sum(), m.emb.weight[0].abs().sum())
# time series: windows by unfold, seq2one LSTM, dilated causal TCN
t = torch.arange(200.0)
s = torch.sin(0.1 * t) + torch.randn(200) * 0.1
W = s.unfold(0, 11, 1)
x, y = W[:, :-1], W[:, -1:]
print(W.shape, W.stride())
mean, std = x.mean(), x.std()


class TCNBlock(nn.Module):
    def __init__(self, i, o, d):
        super().__init__()
        self.pad = 2 * d
        self.c = nn.utils.parametrizations.weight_norm(nn.Conv1d(i, o, 3, dilation=d))
        self.r = nn.Conv1d(i, o, 1) if i != o else nn.Identity()

    def forward(self, x):
        return F.relu(self.c(F.pad(x, (self.pad, 0))) + self.r(x))


tcn = nn.Sequential(TCNBlock(1, 8, 1), TCNBlock(8, 8, 2), nn.Flatten(), nn.LazyLinear(1))
tcn(x[:1, None])
opt = torch.optim.NAdam(tcn.parameters(), 1e-2)
lf = nn.HuberLoss()
for i in range(5):
    l = lf(tcn(((x - mean) / std)[:, None]), y)
    opt.zero_grad()
    l.backward()
    opt.step()
    print(f"{l.item():.5f}", end=" ")
print()


class Seq(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1, self.l2, self.lin = nn.LSTMCell(1, 12), nn.LSTMCell(12, 12), nn.Linear(12, 1)

    def forward(self, inp, future=0):
        outs = []
        h1 = c1 = h2 = c2 = torch.zeros(inp.size(0), 12, dtype=inp.dtype)
        for it in inp.split(1, dim=1):
            h1, c1 = self.l1(it, (h1, c1))
            h2, c2 = self.l2(h1, (h2, c2))
            o = self.lin(h2)
            outs += [o]
        for i in range(future):
            h1, c1 = self.l1(o, (h1, c1))
            h2, c2 = self.l2(h1, (h2, c2))
            o = self.lin(h2)
            outs += [o]
        return torch.cat(outs, dim=1)


sq = Seq().double()
opt = torch.optim.LBFGS(sq.parameters(), lr=0.5, max_iter=5)
xd = x[:20].double()
for i in range(2):

    def closure():
        opt.zero_grad()
        l = nn.MSELoss()(sq(xd[:, :-1]), xd[:, 1:])
        l.backward()
        return l

    print(f"{opt.step(closure).item():.6f}")
with torch.no_grad():
    print(sq(xd[:1], future=3)[0, -3:])


# UNet, BatchNorm momentum None, instance norm styles, transposed conv output_padding, dropout variants
class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.d1, self.d2 = self.blk(1, 4), self.blk(4, 8)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.u1 = self.blk(8, 4)
        self.out = nn.Conv2d(4, 2, 1)

    def blk(self, i, o):
        return nn.Sequential(
            nn.Conv2d(i, o, 3, padding="same", padding_mode="reflect"),
            nn.GroupNorm(2, o),
            nn.PReLU(o),
            nn.Dropout2d(0.1),
        )

    def forward(self, x):
        a = self.d1(x)
        b = self.d2(F.max_pool2d(a, 2))
        return self.out(self.u1(torch.cat([a, self.up(b)], 1)))


u = UNet()
opt = torch.optim.Adamax(u.parameters())
im = torch.randn(2, 1, 16, 16)
mk = (im[:, 0] > 0).long()


def dice(p, t):
    p = p.softmax(1)[:, 1]
    return 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)


for i in range(4):
    o = u(im)
    l = F.cross_entropy(o, mk) + dice(o, mk)
    opt.zero_grad()
    l.backward()
    opt.step()
    print(f"{l.item():.5f}", end=" ")
print()
iou = (o.argmax(1) & mk).sum().float() / (o.argmax(1) | mk).sum()
print(iou)
bn = nn.BatchNorm1d(3, momentum=None, affine=False)
[bn(torch.randn(4, 3)) for _ in range(3)]
print(
    bn.running_mean,
    bn.num_batches_tracked,
    nn.AlphaDropout(0.2)(torch.ones(6)),
    nn.FeatureAlphaDropout(0.5)(torch.ones(1, 3, 2)),
    nn.Dropout1d(0.5)(torch.ones(1, 4, 2))[0, :, 0],
)
print(
    nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1)(
        torch.ones(1, 1, 3, 3)
    ).shape,
    nn.ConvTranspose2d(1, 1, 3, stride=2)(torch.ones(1, 1, 3, 3), output_size=(8, 8)).shape,
    nn.Conv2d(4, 4, 3, groups=4, dilation=2, padding_mode="circular", padding=2)(
        torch.ones(1, 4, 5, 5)
    ).shape,
    nn.Unflatten(1, (2, 3))(torch.ones(1, 6)).shape,
    nn.ChannelShuffle(2)(torch.arange(4.0).view(1, 4, 1, 1)).flatten(),
    nn.PixelUnshuffle(2)(torch.ones(1, 1, 4, 4)).shape,
    nn.ZeroPad2d(1)(torch.ones(1, 1, 1)).shape,
    nn.Softmax2d()(torch.ones(1, 2, 1, 1)).flatten(),
    nn.Threshold(0.1, 20)(torch.tensor([0.0, 1.0])),
    nn.Hardshrink()(torch.tensor([0.3, 1.0])),
    nn.GLU()(torch.ones(2, 4)),
    nn.RReLU()(torch.tensor([-1.0])).shape,
    nn.LogSigmoid()(torch.zeros(1)),
)
