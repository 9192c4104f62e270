"""Anchor boxes, matching, suppression, a small detector; transposed convolutions."""

import torch
from torch import nn
from torch.nn import functional as F

torch.set_printoptions(2)
torch.manual_seed(0)


def multibox_prior(data, sizes, ratios):
    ih, iw = data.shape[-2:]
    dev, ns, nr = data.device, len(sizes), len(ratios)
    bpp = ns + nr - 1
    st, rt = torch.tensor(sizes, device=dev), torch.tensor(ratios, device=dev)
    ch = (torch.arange(ih, device=dev) + 0.5) / ih
    cw = (torch.arange(iw, device=dev) + 0.5) / iw
    sy, sx = torch.meshgrid(ch, cw, indexing="ij")
    sy, sx = sy.reshape(-1), sx.reshape(-1)
    w = torch.cat((st * torch.sqrt(rt[0]), sizes[0] * torch.sqrt(rt[1:]))) * ih / iw
    h = torch.cat((st / torch.sqrt(rt[0]), sizes[0] / torch.sqrt(rt[1:])))
    manip = torch.stack((-w, -h, w, h)).T.repeat(ih * iw, 1) / 2
    grid = torch.stack([sx, sy, sx, sy], dim=1).repeat_interleave(bpp, dim=0)
    return (grid + manip).unsqueeze(0)


X = torch.rand(size=(1, 3, 56, 72))
Y = multibox_prior(X, [0.75, 0.5, 0.25], [1, 2, 0.5])
print(Y.shape, Y.reshape(56, 72, 5, 4)[25, 25, 0, :])


def box_iou(a, b):
    def area(x):
        return (x[:, 2] - x[:, 0]) * (x[:, 3] - x[:, 1])

    ul = torch.max(a[:, None, :2], b[:, :2])
    lr = torch.min(a[:, None, 2:], b[:, 2:])
    i = (lr - ul).clamp(min=0)
    ia = i[:, :, 0] * i[:, :, 1]
    return ia / (area(a)[:, None] + area(b) - ia)


def assign(gt, anchors, thr=0.5):
    na, ng = anchors.shape[0], gt.shape[0]
    jac = box_iou(anchors, gt)
    m = torch.full((na,), -1, dtype=torch.long)
    mx, ind = torch.max(jac, dim=1)
    ai = torch.nonzero(mx >= thr).reshape(-1)
    bj = ind[mx >= thr]
    m[ai] = bj
    cd, rd = torch.full((na,), -1), torch.full((ng,), -1)
    for _ in range(ng):
        mi = torch.argmax(jac)
        bi = (mi % ng).long()
        a = (mi / ng).long()
        m[a] = bi
        jac[:, bi] = cd
        jac[a, :] = rd
    return m


def c2(b):
    x1, y1, x2, y2 = b[:, 0], b[:, 1], b[:, 2], b[:, 3]
    return torch.stack(((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1), axis=-1)


def corner(b):
    cx, cy, w, h = b[:, 0], b[:, 1], b[:, 2], b[:, 3]
    return torch.stack((cx - 0.5 * w, cy - 0.5 * h, cx + 0.5 * w, cy + 0.5 * h), axis=-1)


def offset_boxes(anchors, ab, eps=1e-6):
    ca, cb = c2(anchors), c2(ab)
    return torch.cat(
        [10 * (cb[:, :2] - ca[:, :2]) / ca[:, 2:], 5 * torch.log(eps + cb[:, 2:] / ca[:, 2:])],
        axis=1,
    )


def target(anchors, labels):
    bs, anchors = labels.shape[0], anchors.squeeze(0)
    O, M, C = [], [], []
    na = anchors.shape[0]
    for i in range(bs):
        lab = labels[i]
        m = assign(lab[:, 1:], anchors)
        mask = ((m >= 0).float().unsqueeze(-1)).repeat(1, 4)
        cl = torch.zeros(na, dtype=torch.long)
        ab = torch.zeros((na, 4), dtype=torch.float32)
        t = torch.nonzero(m >= 0)
        bi = m[t]
        cl[t] = lab[bi, 0].long() + 1
        ab[t] = lab[bi, 1:]
        O.append((offset_boxes(anchors, ab) * mask).reshape(-1))
        M.append(mask.reshape(-1))
        C.append(cl)
    return torch.stack(O), torch.stack(M), torch.stack(C)


gt = torch.tensor([[0, 0.1, 0.08, 0.52, 0.92], [1, 0.55, 0.2, 0.9, 0.88]])
anchors = torch.tensor(
    [
        [0, 0.1, 0.2, 0.3],
        [0.15, 0.2, 0.4, 0.4],
        [0.63, 0.05, 0.88, 0.98],
        [0.66, 0.45, 0.8, 0.8],
        [0.57, 0.3, 0.92, 0.9],
    ]
)
for t in target(anchors.unsqueeze(0), gt.unsqueeze(0)):
    print(t)


def nms(boxes, scores, thr):
    B = torch.argsort(scores, dim=-1, descending=True)
    keep = []
    while B.numel() > 0:
        i = B[0]
        keep.append(i)
        if B.numel() == 1:
            break
        iou = box_iou(boxes[i, :].reshape(-1, 4), boxes[B[1:], :].reshape(-1, 4)).reshape(-1)
        inds = torch.nonzero(iou <= thr).reshape(-1)
        B = B[inds + 1]
    return torch.tensor(keep)


boxes = torch.rand(12, 4).sort(1).values[:, [0, 1, 2, 3]]
print(nms(boxes, torch.rand(12), 0.4))
combined = torch.cat((torch.tensor([3, 1]), torch.arange(5)))
u, c = combined.unique(return_counts=True)
print(u[c == 1])


def cls_pred(i, na, nc):
    return nn.Conv2d(i, na * (nc + 1), 3, padding=1)


def down(i, o):
    b = []
    for _ in range(2):
        b += [nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU()]
        i = o
    return nn.Sequential(*b, nn.MaxPool2d(2))


class TinySSD(nn.Module):
    def __init__(self, nc=1):
        super().__init__()
        self.nc = nc
        ch = [8, 16, 16]
        for i in range(3):
            setattr(
                self,
                f"blk_{i}",
                nn.Sequential(down(3, 4), down(4, 8)) if i == 0 else down(ch[i - 1], ch[i]),
            )
            setattr(self, f"cls_{i}", cls_pred(ch[i], 4, nc))
            setattr(self, f"bbox_{i}", nn.Conv2d(ch[i], 16, 3, padding=1))

    def forward(self, X):
        A, C, B = [None] * 3, [None] * 3, [None] * 3
        for i in range(3):
            X = getattr(self, f"blk_{i}")(X)
            A[i] = multibox_prior(X, [0.2 + 0.2 * i, 0.27 + 0.2 * i], [1, 2, 0.5])
            C[i] = getattr(self, f"cls_{i}")(X)
            B[i] = getattr(self, f"bbox_{i}")(X)

        def flat(p):
            return torch.flatten(p.permute(0, 2, 3, 1), start_dim=1)

        return (
            torch.cat(A, 1),
            torch.cat([flat(c) for c in C], 1).reshape(X.shape[0], -1, self.nc + 1),
            torch.cat([flat(b) for b in B], 1),
        )


net = TinySSD()
imgs = torch.rand(2, 3, 64, 64)
labels = torch.tensor([[[0, 0.1, 0.1, 0.6, 0.7]], [[0, 0.3, 0.2, 0.9, 0.8]]])
opt = torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=5e-4)
cls_loss, bl = nn.CrossEntropyLoss(reduction="none"), nn.L1Loss(reduction="none")
for step in range(6):
    a, c, b = net(imgs)
    bt, bm, ct = target(a, labels)
    bs, nc = c.shape[0], c.shape[2]
    l = cls_loss(c.reshape(-1, nc), ct.reshape(-1)).reshape(bs, -1).mean(1) + bl(
        b * bm, bt * bm
    ).mean(1)
    opt.zero_grad()
    l.mean().backward()
    opt.step()
    print(step, f"{l.mean().item():.4f}", float((c.argmax(dim=-1).type(ct.dtype) == ct).sum()))
net.eval()
a, c, b = net(imgs)
p = F.softmax(c, dim=2).permute(0, 2, 1)
print(p.shape, torch.max(p[0, 1:], 0)[0][:5])


# semantic segmentation: bilinear kernel, transposed conv
def bilinear_kernel(i, o, k):
    f = (k + 1) // 2
    c = f - 1 if k % 2 == 1 else f - 0.5
    og = (torch.arange(k).reshape(-1, 1), torch.arange(k).reshape(1, -1))
    filt = (1 - torch.abs(og[0] - c) / f) * (1 - torch.abs(og[1] - c) / f)
    w = torch.zeros((i, o, k, k))
    w[range(i), range(o), :, :] = filt
    return w


ct = nn.ConvTranspose2d(3, 3, 4, padding=1, stride=2, bias=False)
ct.weight.data.copy_(bilinear_kernel(3, 3, 4))
print(
    ct(imgs)[0, 0, :2, :4],
    F.interpolate(imgs, scale_factor=2, mode="bilinear", align_corners=False)[0, 0, :2, :4],
)
