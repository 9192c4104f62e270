"""What scripts begin with: imports, seeds, wrappers, samplers, meters, checkpoints, processes."""

import argparse
import os
import random

import numpy as np
import torch
import torch.backends.cudnn as cudnn
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Variable
from torch.cuda.amp import GradScaler, autocast
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.loss import _WeightedLoss
from torch.nn.modules.utils import _pair
from torch.nn.parallel import DataParallel
from torch.optim import Adam, lr_scheduler
from torch.testing import assert_close
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler


def set_seed(s):
    random.seed(s)
    np.random.seed(s)
    torch.manual_seed(s)
    torch.cuda.manual_seed(s)
    torch.cuda.manual_seed_all(s)
    cudnn.deterministic = True
    cudnn.benchmark = False
    os.environ["PYTHONHASHSEED"] = str(s)
    torch.use_deterministic_algorithms(True, warn_only=True)


set_seed(42)
dev = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
print(
    dev,
    dev.type,
    dev.index,
    str(dev),
    torch.device("cpu", 0),
    dev == torch.device("cpu"),
    torch.backends.cudnn.enabled in (True, False),
    dist.is_available() in (True, False),
    torch.cuda.is_available() and dist.is_initialized(),
)
torch.set_float32_matmul_precision("high")
torch.backends.cuda.matmul.allow_tf32 = True


class LabelSmooth(_WeightedLoss):
    def __init__(self, weight=None, reduction="mean", s=0.1):
        super().__init__(weight=weight, reduction=reduction)
        self.s = s

    def forward(self, x, t):
        with torch.no_grad():
            d = (
                torch.empty_like(x)
                .fill_(self.s / (x.size(1) - 1))
                .scatter_(1, t.data.unsqueeze(1), 1.0 - self.s)
            )
        return (-d * F.log_softmax(x, -1)).sum(-1).mean()


class DS(Dataset):
    def __init__(self):
        self.x = torch.randn(40, 3, 8, 8)
        self.y = torch.randint(0, 4, (40,))

    def __len__(self):
        return 40

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(3, 6, 3, bias=False)
        self.bn = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6 * 9, 4)

    def forward(self, x):
        return self.fc(F.max_pool2d(F.relu(self.bn(self.c1(x))), 2).flatten(1))


net = DataParallel(Net()).to(dev)
print(type(net.module).__name__, list(net.state_dict())[:2])
ds = DS()
samp = DistributedSampler(ds, num_replicas=2, rank=1, shuffle=True, seed=3)
samp.set_epoch(1)
print(list(samp)[:8], len(samp))
dl = DataLoader(ds, 8, sampler=samp, num_workers=0, pin_memory=False, drop_last=True)
opt = Adam(
    [
        {"params": [p for n, p in net.named_parameters() if "bias" not in n]},
        {"params": [p for n, p in net.named_parameters() if "bias" in n], "weight_decay": 0},
    ],
    lr=1e-3,
    weight_decay=1e-4,
)
sch = lr_scheduler.SequentialLR(
    opt,
    [lr_scheduler.LinearLR(opt, 0.1, total_iters=2), lr_scheduler.CosineAnnealingLR(opt, 4)],
    [2],
)
crit = LabelSmooth().to(dev)
scaler = GradScaler(enabled=False)


class AverageMeter:
    def __init__(self):
        self.reset()

    def reset(self):
        self.val = self.avg = self.sum = self.count = 0

    def update(self, v, n=1):
        self.val = v
        self.sum += v * n
        self.count += n
        self.avg = self.sum / self.count


def accuracy(out, target, topk=(1,)):
    with torch.no_grad():
        maxk, bs = max(topk), target.size(0)
        _, pred = out.topk(maxk, 1, True, True)
        pred = pred.t()
        correct = pred.eq(target.view(1, -1).expand_as(pred))
        return [
            correct[:k].reshape(-1).float().sum(0, keepdim=True).mul_(100.0 / bs).item()
            for k in topk
        ]


for ep in range(3):
    m = AverageMeter()
    net.train()
    for i, (x, y) in enumerate(dl):
        x, y = x.to(dev, non_blocking=True), y.to(dev, non_blocking=True)
        with autocast(enabled=False):
            out = net(x)
            loss = crit(out, y)
        opt.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(opt)
        scaler.update()
        m.update(loss.item(), x.size(0))
    sch.step()
    print(
        f"Epoch: [{ep}][{i}/{len(dl)}]\tLoss {m.val:.4f} ({m.avg:.4f})",
        accuracy(out, y, (1, 3)),
        [f"{g['lr']:.6f}" for g in opt.param_groups],
    )
net.eval()
torch.save({"state_dict": net.state_dict(), "args": argparse.Namespace(lr=0.1)}, "c.pth.tar")
ck = torch.load("c.pth.tar", map_location="cpu", weights_only=False)
net2 = Net()
net2.load_state_dict({k.replace("module.", ""): v for k, v in ck["state_dict"].items()})
print(ck["args"], torch.equal(net2.fc.weight, net.module.fc.weight))
with torch.no_grad():
    preds = torch.cat([net(x) for x, _ in DataLoader(ds, 16)])
    cm = torch.zeros(4, 4, dtype=torch.long)
    [
        cm.__setitem__((t, p), cm[t, p] + 1)
        for t, p in zip(ds.y.tolist(), preds.argmax(1).tolist(), strict=False)
    ]
    print(cm, cm.diag().float() / cm.sum(1))
print(
    isinstance(net.module.bn, _BatchNorm),
    isinstance(net.module.c1, _ConvNd),
    _pair(3),
    sum(p.numel() for p in net.parameters()),
    next(net.parameters()).is_cuda,
    isinstance(Variable(torch.ones(1)), Tensor),
    torch.is_tensor(preds),
    isinstance(preds, torch.FloatTensor),
    preds.type(),
)
assert_close(torch.ones(2), torch.ones(2) + 1e-8)
try:
    assert_close(torch.ones(2), torch.zeros(2))
except AssertionError as e:
    print("AssertionError", str(e).splitlines()[0])
for name, mod in net.named_modules():
    if isinstance(mod, nn.Linear):
        mod.register_forward_hook(
            lambda m, i, o, n=name: print(n, tuple(i[0].shape), tuple(o.shape))
        )
net(ds.x[:2])
print(
    torch.get_num_threads() >= 1,
    torch.initial_seed(),
    torch.random.initial_seed(),
    torch.seed() is not None,
)


def worker(rank, q):
    q.put(rank)


if __name__ == "__main__":
    ctx = mp.get_context("fork")
    q = ctx.SimpleQueue()
    p = ctx.Process(target=worker, args=(3, q))
    p.start()
    print(q.get())
    p.join()
swa = torch.optim.swa_utils.AveragedModel(net2, avg_fn=lambda a, m, n: 0.9 * a + 0.1 * m)
swa.update_parameters(net2)
swa_s = torch.optim.swa_utils.SWALR(opt, swa_lr=0.05)
swa_s.step()
print([f"{g['lr']:.5f}" for g in opt.param_groups], swa.n_averaged.item())
print(
    torch.utils.data.Subset(ds, [1, 2])[0][1],
    len(torch.utils.data.ConcatDataset([ds, ds])),
    torch.backends.mkldnn.is_available() in (True, False),
    torch.backends.openmp.is_available() in (True, False),
    torch.compiler.is_compiling() if hasattr(torch, "compiler") else None,
)
x = torch.randn(3, requires_grad=True)
with torch.autograd.profiler.profile() as prof:
    (x * 2).sum().backward()
print(
    len(prof.key_averages()) > 0,
    torch.autograd.detect_anomaly is not None,
    torch.is_inference_mode_enabled(),
    torch.is_anomaly_enabled(),
    torch.are_deterministic_algorithms_enabled(),
)
print(
    nn.SyncBatchNorm.convert_sync_batchnorm(Net()).bn,
    torch.nn.utils.clip_grad.clip_grad_norm_(net.parameters(), 1.0) is not None,
)
