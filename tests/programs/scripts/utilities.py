"""nn.utils, packed sequences, losses, pools, and every optimizer."""

import torch
import torch.nn.functional as F
import torch.nn.utils.parametrize as P
from torch import nn
from torch.nn.utils import (
    fusion,
    parameters_to_vector,
    parametrizations,
    prune,
    rnn,
    skip_init,
    vector_to_parameters,
    weight_norm,
)

torch.manual_seed(0)


class Sym(nn.Module):
    def forward(self, X):
        return X.triu() + X.triu(1).transpose(-1, -2)

    def right_inverse(self, A):
        return A.triu()


l = nn.Linear(3, 3)
P.register_parametrization(l, "weight", Sym())
print(torch.allclose(l.weight, l.weight.T), l, list(l.state_dict()))
l.weight = torch.eye(3)
print(l.weight, P.is_parametrized(l))
P.remove_parametrizations(l, "weight")
print(type(l).__name__, list(l.state_dict()))
o = parametrizations.orthogonal(nn.Linear(4, 4))
print(torch.dist(o.weight.T @ o.weight, torch.eye(4)) < 1e-5)
wn = parametrizations.weight_norm(nn.Linear(3, 2))
print(wn, list(wn.state_dict()))
sn = parametrizations.spectral_norm(nn.Linear(3, 2), n_power_iterations=5)
print(torch.linalg.matrix_norm(sn.weight, 2) < 1.1)
w = weight_norm(nn.Linear(3, 2), dim=0)
print(w.weight_g.shape, w.weight_v.shape)
w(torch.ones(1, 3)).sum().backward()
print(w.weight_g.grad.shape)
nn.utils.remove_weight_norm(w)
print(list(w.state_dict()))
m = nn.Conv2d(3, 4, 3)
prune.l1_unstructured(m, "weight", 0.3)
print(list(dict(m.named_buffers())), float((m.weight == 0).float().mean()))
prune.ln_structured(m, "weight", 0.5, n=2, dim=0)
print((m.weight.sum((1, 2, 3)) == 0).sum())
prune.remove(m, "weight")
print(list(m.state_dict()))
prune.random_unstructured(m, "bias", 2)
print(m.bias_mask.sum())
prune.global_unstructured([(m, "weight")], pruning_method=prune.L1Unstructured, amount=0.5)
print(prune.is_pruned(m), (m.weight == 0).sum())
seqs = [
    torch.tensor([[1.0, 2], [3, 4], [5, 6]]),
    torch.tensor([[7.0, 8]]),
    torch.tensor([[9.0, 10], [11, 12]]),
]
p = rnn.pad_sequence(seqs, batch_first=True, padding_value=-1)
print(p)
pk = rnn.pack_padded_sequence(p, torch.tensor([3, 1, 2]), batch_first=True, enforce_sorted=False)
print(pk.data, pk.batch_sizes, pk.sorted_indices)
print(
    rnn.pack_sequence(seqs, enforce_sorted=False).batch_sizes,
    rnn.unpad_sequence(p, torch.tensor([3, 1, 2]), True)[1],
)
for cls in (nn.RNN, nn.GRU, nn.LSTM):
    r = cls(2, 4, 2, batch_first=True, bidirectional=True)
    out, h = r(pk)
    pad, lens = rnn.pad_packed_sequence(out, batch_first=True, total_length=4)
    print(pad.shape, lens, pad[0, 2, :2], (h[0] if isinstance(h, tuple) else h)[:, 1, 0])
    pad.sum().backward()
    print(r.weight_ih_l0.grad.sum())
lp = nn.LSTM(2, 6, proj_size=3, num_layers=2, bidirectional=True)
o, (h, c) = lp(torch.randn(5, 2, 2))
print(o.shape, h.shape, c.shape, o[0, 0])
o.mean().backward()
print(lp.weight_hr_l0.grad.shape, lp)
cell = nn.LSTMCell(2, 3)
hx, cx = cell(torch.randn(4, 2))
hx, cx = cell(torch.randn(4, 2), (hx, cx))
print(
    hx[0],
    nn.GRUCell(2, 3)(torch.randn(2))[:2],
    nn.RNNCell(2, 3, nonlinearity="relu")(torch.randn(1, 2)),
)
asm = nn.AdaptiveLogSoftmaxWithLoss(8, 20, [5, 12], div_value=2.0, head_bias=True)
x = torch.randn(6, 8, requires_grad=True)
t = torch.randint(0, 20, (6,))
out = asm(x, t)
print(out.output, out.loss)
out.loss.backward()
print(x.grad.norm(), asm.predict(x), asm.log_prob(x).exp().sum(1), asm)
lpb = torch.randn(12, 3, 7).log_softmax(2).requires_grad_()
tg = torch.randint(1, 7, (3, 5))
il, tl = torch.tensor([12, 10, 8]), torch.tensor([5, 3, 4])
for red in ("mean", "sum", "none"):
    c = nn.CTCLoss(blank=0, reduction=red, zero_infinity=True)(lpb, tg, il, tl)
    print(c)
c.sum().backward()
print(lpb.grad[0, 0])
a, b, c = (torch.randn(4, 5, requires_grad=True) for _ in range(3))
y = torch.tensor([1, -1, 1, -1])
for loss in (
    nn.TripletMarginLoss(0.5, swap=True)(a, b, c),
    nn.TripletMarginWithDistanceLoss(distance_function=nn.PairwiseDistance())(a, b, c),
    nn.CosineEmbeddingLoss(0.1)(a, b, y),
    nn.MarginRankingLoss(0.2)(a[:, 0], b[:, 0], y),
    nn.HingeEmbeddingLoss()(a[:, 0], y),
    nn.SoftMarginLoss()(a[:, 1], y.float()),
    nn.MultiMarginLoss()(a, torch.tensor([0, 1, 2, 3])),
    nn.MultiLabelMarginLoss()(a, torch.tensor([[1, 2, -1, 0, 0]] * 4)),
    nn.MultiLabelSoftMarginLoss()(a, torch.ones(4, 5)),
    nn.GaussianNLLLoss(full=True)(a, b, c.abs() + 0.1),
    nn.PoissonNLLLoss(full=True)(a, b.abs()),
    nn.KLDivLoss(reduction="batchmean", log_target=True)(a.log_softmax(1), b.log_softmax(1)),
    nn.HuberLoss(delta=0.5)(a, b),
    nn.SmoothL1Loss(beta=0.3)(a, b),
    nn.BCEWithLogitsLoss(pos_weight=torch.ones(5) * 2)(a, b.sigmoid()),
    nn.NLLLoss(weight=torch.arange(5.0))(a.log_softmax(1), torch.tensor([0, 1, 2, 4])),
    nn.CrossEntropyLoss(label_smoothing=0.1)(a, b.softmax(1)),
    nn.L1Loss()(a, b),
):
    print(f"{loss.item():.5f}")
    loss.backward(retain_graph=True)
print(a.grad.sum(), b.grad.norm())
conv, bn = nn.Conv2d(3, 4, 3).eval(), nn.BatchNorm2d(4).eval()
bn.running_mean.normal_()
bn.running_var.uniform_(0.5, 2)
xx = torch.randn(1, 3, 6, 6)
print(
    torch.allclose(fusion.fuse_conv_bn_eval(conv, bn)(xx), bn(conv(xx)), atol=1e-5),
    skip_init(nn.Linear, 2, 3).weight.shape,
)
v = parameters_to_vector(conv.parameters())
vector_to_parameters(v * 0, conv.parameters())
print(conv.weight.abs().sum())
print(
    F.scaled_dot_product_attention(
        torch.ones(1, 2, 3, 4), torch.randn(1, 2, 3, 4), torch.randn(1, 2, 3, 4), is_causal=True
    )[0, 0]
)
print(
    F.pad(torch.arange(6.0).view(1, 2, 3), (1, 1), "reflect"),
    F.unfold(torch.arange(16.0).view(1, 1, 4, 4), 2).shape,
    F.fold(torch.ones(1, 4, 9), (4, 4), 2),
    F.grid_sample(
        torch.arange(9.0).view(1, 1, 3, 3),
        F.affine_grid(torch.eye(2, 3)[None], (1, 1, 2, 2), align_corners=False),
        align_corners=False,
    ),
    F.pixel_shuffle(torch.arange(8.0).view(1, 4, 1, 2), 2),
)
mp, ids = nn.MaxPool2d(2, return_indices=True)(torch.rand(1, 1, 4, 4))
print(
    nn.MaxUnpool2d(2)(mp, ids),
    nn.FractionalMaxPool2d(2, output_ratio=0.5)(torch.rand(1, 1, 6, 6)).shape,
    nn.LPPool2d(2, 2)(torch.ones(1, 1, 4, 4)),
    nn.AdaptiveAvgPool3d((1, None, 2))(torch.ones(1, 2, 3, 4, 5)).shape,
    nn.LocalResponseNorm(2)(torch.ones(1, 4, 2, 2))[0, :, 0, 0],
    nn.GroupNorm(2, 4)(torch.arange(8.0).view(2, 4)).tolist(),
    nn.InstanceNorm1d(2, affine=True)(torch.arange(8.0).view(1, 2, 4)).tolist(),
    nn.RMSNorm(4)(torch.arange(4.0)).tolist(),
    nn.Bilinear(2, 3, 2)(torch.ones(1, 2), torch.ones(1, 3)).tolist(),
    nn.Upsample(scale_factor=2, mode="bicubic")(torch.arange(4.0).view(1, 1, 2, 2))[0, 0, 0],
)
for opt in (
    torch.optim.Adadelta,
    torch.optim.Adagrad,
    torch.optim.Adamax,
    torch.optim.NAdam,
    torch.optim.RAdam,
    torch.optim.ASGD,
    torch.optim.Rprop,
    torch.optim.Adafactor,
    torch.optim.SparseAdam,
):
    q = nn.Parameter(torch.linspace(-1, 1, 6).view(2, 3))
    op = opt([q], lr=0.01)
    for _ in range(3):
        if opt is torch.optim.SparseAdam:
            break
        op.zero_grad()
        (q**2 * torch.tensor([1.0, 2, 3])).sum().backward()
        op.step()
    print(opt.__name__, q.data.flatten()[:3], list(op.state_dict()["state"].get(0, {})))
mu = nn.Parameter(torch.eye(3))
op = torch.optim.Muon([mu], lr=0.1)
(mu * torch.arange(9.0).view(3, 3)).sum().backward()
op.step()
print(mu.data)
