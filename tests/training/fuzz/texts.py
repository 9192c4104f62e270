"""What programs are made of.

In all of these ``{{a|b}}`` stands for one of its parts, drawn at random, and a line that begins
with ``?0.3`` is left out seven times out of ten.
"""

# Numbers of dims that a layer takes: lines of `__init__` -> lines of `forward`, with $m its name,
# $o the new value, $x the one it is given and $y another of its shape; $f is the last size of x, $c
# that of dim 1, $n the number of dims behind that, $d some dim but the first, $h a divisor of f, $g
# of c.
LAYERS = """
2345: self.$m = nn.Linear($f, {{3|4|8}}, bias={{True|True|False}}) -> $o = self.$m($x)
2345: self.$m = nn.{{ReLU()|GELU()|SiLU()|Tanh()|Mish()|ELU(0.5)|PReLU()|Softplus()|Hardswish()\
|LeakyReLU(0.2)|RReLU()|LogSigmoid()|Softmax(-1)|ReLU(inplace=True)}} -> $o = self.$m($x)
2345: self.$m = nn.Sequential(nn.Linear($f, 5), nn.{{GELU|Tanh|Sigmoid}}(), nn.Linear(5, $f)) \
-> $o = $x + {{self.$m($x)|checkpoint(self.$m, $x, use_reentrant=False)}}
2345: -> $o = {{torch.tanh($x)|$x * torch.sigmoid($y)|$x + 0.3 * $y|$x / (1 + $y.abs())|$x.pow(2)\
|($x.abs() + 0.1).sqrt()|torch.where($x > 0, $x, 0.1 * $y)|torch.lerp($x, $y, 0.3)\
|$x.masked_fill($x < -0.5, 0.0)|$x.clamp(-0.5, 0.8)|torch.maximum($x, $y)\
|torch.atan2($x, 1 + $y**2)}}
2345: -> $o = {{F.normalize($x, dim=$d)|$x.cumsum($d)|$x.sort($d)[0]|$x - $x.mean($d, keepdim=True)\
|$x - $x.logsumexp($d, keepdim=True)|F.softmax($x, $d) * $y|$x + $x.max($d, keepdim=True)[0]\
|$x / ($x.std($d, keepdim=True) + 0.1)|$x / (0.1 + $x.norm(dim=$d, keepdim=True))}}
2345: -> $o = {{$x + 0.1 * torch.randn_like($x)|F.dropout($x, 0.2, self.training)\
|$x * (torch.rand(len($x), *[1] * ($n + 1)) < 0.9)|($x.round() - $x).detach() + $x}}
2345: -> $o = {{$x.transpose(1, -1)|$x.flatten(1)|$x.flip($d)|$x.roll(1, $d)|$x[:, ::2]\
|$x[..., :-1]\
|torch.cat([$x, $y], $d)|torch.stack([$x, $y], $d).mean($d)|sum($x.split(1, $d))|$x.mean($d)\
|$x[:, [0, -1, 0]]|$x.gather($d, $x.argsort($d))|$x.topk(2, $d)[0]|$x.repeat_interleave(2, $d)\
|$x.unfold($d, 2, 1)|F.pad($x, (1, 0))|torch.einsum("b...i,b...j->b...", $x, $y)|$x @ $y.mT\
|$x[torch.arange(len($x)), $x.flatten(2).mean(2).argmax(1)]|$x.contiguous().view(len($x), -1)}}
2345: -> $o = $x {{* 1.1|.clone()}}; {{$o[:, 0] = $y[:, -1]|$o.mul_(0.7)|$o.add_($y)|$o.relu_()\
|$o[..., ::2] += 0.3|$o[$o > 0.5] = 0.5|$o[:, -1].mul_($y[:, 0])|$o.transpose(0, 1)[0].add_(1)\
|$o.index_add_(1, torch.tensor([0]), $y[:, :1])|$o *= torch.sigmoid($y)|$o.sub_($o.mean())}}
2345: self.$m = nn.Parameter(torch.randn($f, 4) * 0.3) -> $o = $x @ self.$m
2345: self.$m = nn.Parameter(torch.randn($f) * 0.3) -> $o = $x * self.$m + $x * self.$m.detach()
2345: self.register_buffer("$m", torch.zeros($f)) -> if self.training: \
{{self.$m.mul_(0.9).add_($x.detach().mean(tuple(range($n + 1))), alpha=0.1)\
|self.$m = 0.9 * self.$m + 0.1 * $x.detach().mean(tuple(range($n + 1)))}}; $o = $x - self.$m
2345: self.$m = 0 -> self.$m += 1; $o = {{$x / (1 + 0.1 * self.$m)|$x if self.$m % 3 else 0.5 * $x}}
2345: self.$m = nn.ModuleList([nn.Linear($f, $f), nn.Linear($f, $f)]); \
{{self.$m[1].weight = self.$m[0].weight|nn.init.zeros_(self.$m[1].bias)}} -> $o = $x; \
for layer in self.$m: $o = $o + torch.relu(layer($o))
2345: self.$m = nn.Linear($f, 5) -> $o = F.linear(torch.tanh(self.$m($x)), self.$m.weight.t())
2345: self.$m = nn.Linear($f, 4); self.$m.{{register_forward_hook(lambda m, x, y: 0.9 * y)\
|weight.register_hook(lambda g: g.clamp(-0.1, 0.1))\
|register_forward_pre_hook(lambda m, x: (x[0] + 0.1,))}} -> $o = self.$m($x)
2345: self.$m = {{nn.utils.parametrizations.weight_norm|nn.utils.parametrizations.spectral_norm\
|nn.utils.weight_norm|nn.utils.spectral_norm}}(nn.Linear($f, 4)) -> $o = self.$m($x)
2345: self.$m = nn.{{LayerNorm($f)|LayerNorm($f, bias=False)|RMSNorm($f)|GroupNorm($g, $c)}} \
-> $o = self.$m($x)
2345: self.$m = nn.{{Dropout(0.3)|AlphaDropout(0.2)}} -> $o = self.$m($x)
23: self.$m = nn.BatchNorm1d($c, momentum={{0.1|0.3|None}}) -> $o = self.$m($x)
345: self.$m = nn.{{BatchNorm${n}d($c)|InstanceNorm${n}d($c, 1e-3)|Dropout${n}d(0.3)}} \
-> $o = self.$m($x)
345: self.$m = nn.Conv${n}d($c, {{3|4}}, {{1|2|3}}, stride={{1|2}}, padding={{0|1}}, \
bias={{True|False}}, padding_mode={{"zeros"|"zeros"|"reflect"|"circular"}}) \
-> $o = {{self.$m($x)|F.relu(self.$m($x))}}
345: self.$m = nn.Conv${n}d($c, 2 * $c, 3, padding="same", groups=$g, dilation={{1|2}}) \
-> $o = self.$m($x)
345: self.$m = nn.ConvTranspose${n}d($c, 3, {{2|3}}, stride={{1|2}}, padding={{0|1}}) \
-> $o = self.$m($x)
345: self.$m = nn.{{MaxPool${n}d(2)|MaxPool${n}d(3, 1, padding=1)|AvgPool${n}d(2, ceil_mode=True)\
|AdaptiveAvgPool${n}d(2)|AdaptiveMaxPool${n}d(2)|LPPool${n}d(2, 2)|Upsample(scale_factor=2)\
|ReflectionPad${n}d(1)|LocalResponseNorm(2)}} -> $o = self.$m($x)
4: self.$m = nn.{{Upsample(scale_factor=1.7, mode="bilinear")|PixelUnshuffle(2)|Unfold(2)\
|FractionalMaxPool2d(2, output_ratio=0.7)}} -> $o = self.$m($x)
4: self.${m}a = nn.Conv2d($c, $c, 3, padding=1, bias=False); self.${m}b = nn.BatchNorm2d($c) \
-> $o = F.relu(self.${m}b(self.${m}a($x)) + $x, inplace=True)
4: -> $o = {{$x.flatten(2).transpose(1, 2)|$x.permute(0, 2, 3, 1)|$x.mean((2, 3))}}
3: self.$m = nn.{{LSTM|GRU|RNN}}($f, 4, {{1|2}}, batch_first=True, bidirectional={{True|False}}, \
dropout={{0.0|0.2}}) -> $o, state = self.$m($x); $o = $o + {{0|state[0].mean()}}
3: self.$m = nn.{{LSTM|GRU|RNN}}($f, 4, bidirectional={{True|False}}) \
-> sizes = [max(1, $x.shape[1] - i) for i in range(len($x))]; \
packed = nn.utils.rnn.pack_padded_sequence($x.transpose(0, 1), sizes, enforce_sorted=False); \
$o, state = self.$m(packed); $o = nn.utils.rnn.pad_packed_sequence($o, batch_first=True)[0]
3: self.$m = nn.{{GRU|RNN}}Cell($f, 4) -> hs = []; \
for part in $x.unbind(1): hs.append(self.$m(part, hs[-1] if hs else None)); \
$o = torch.stack(hs, 1)
3: self.$m = nn.MultiheadAttention($f, $h, dropout={{0.0|0.2}}, batch_first=True, \
bias={{True|False}}) -> $o, w = self.$m($x, $y, $y{{|, need_weights=False\
|, attn_mask=torch.ones($c, $c, dtype=torch.bool).triu(1)\
|, key_padding_mask=torch.arange($c) > torch.arange(len($x))[:, None]}})
3: self.$m = nn.TransformerEncoderLayer($f, $h, 8, {{0.0|0.1}}, {{"relu"|"gelu"|F.silu}}, \
batch_first=True, norm_first={{True|False}}) -> \
mask = nn.Transformer.generate_square_subsequent_mask($c); $o = self.$m($x{{|, mask}})
3: self.$m = nn.TransformerDecoder(nn.TransformerDecoderLayer($f, $h, 8, batch_first=True), 2) \
-> $o = self.$m($x, $y)
3: self.$m = nn.Linear($f, 3 * $f) -> q, k, v = self.$m($x).chunk(3, -1); \
q, k, v = (z.view(len($x), $c, $h, -1).transpose(1, 2) for z in (q, k, v)); \
$o = {{F.scaled_dot_product_attention(q, k, v{{, is_causal=True|, dropout_p=0.1}})\
|F.dropout((q @ k.mT / 2).softmax(-1), 0.1, self.training) @ v}}; \
$o = $o.transpose(1, 2).reshape(len($x), $c, $f)
"""
TOKENS = """
self.$m = nn.Embedding(7, {{4|6}}{{|, padding_idx=0|, max_norm=1.0|, scale_grad_by_freq=True}}) \
-> $o = self.$m($x)
self.$m = nn.EmbeddingBag(7, 6, mode={{"sum"|"mean"|"max"}}) -> $o = self.$m($x)
self.$m = nn.Linear(7, 4) -> $o = self.$m(F.one_hot($x, 7).to(self.$m.weight.dtype))
"""
INPUTS = """
torch.randn(n, {{4|6}})
torch.randn(n, {{3|5}}, {{4|6}})
torch.randn(n, {{1|3|4}}, {{5|6|8}}, 6)
torch.randn(n, 2, 3, 4, 4)
torch.randint(0, 7, (n, {{4|5}}))
"""

# Target of n examples -> loss of `out` (n, 4).
LOSSES = """
torch.randint(0, 4, (n,)) -> F.cross_entropy(out, y{{||, label_smoothing=0.1|, reduction="sum"\
|, weight=torch.linspace(0.5, 1.5, 4)|, ignore_index=1}})
torch.randint(0, 4, (n,)) -> {{F.nll_loss(F.log_softmax(out, 1), y)|F.multi_margin_loss(out, y)\
|-out.log_softmax(1).gather(1, y[:, None]).mean()\
|-torch.distributions.Categorical(logits=out).log_prob(y).mean()}}
torch.rand(n, 4).softmax(1) -> {{F.cross_entropy(out, y)|F.kl_div(out.log_softmax(1), y)}}
torch.randn(n, 4) -> {{F.mse_loss(out, y)|F.smooth_l1_loss(out, y)|F.huber_loss(out, y, delta=0.7)\
|F.gaussian_nll_loss(out, y, F.softplus(out.flip(1)) + 0.1)|(out - y).square().mean() + out.std()}}
torch.rand(n, 4) -> {{F.binary_cross_entropy_with_logits(out, y)|F.soft_margin_loss(out, y - 0.5)\
|F.binary_cross_entropy(out.sigmoid(), y)}}
torch.randint(0, 2, (n,)) * 2 - 1 -> {{F.cosine_embedding_loss(out, out.roll(1, 0), y)\
|F.margin_ranking_loss(out[:, 0], out[:, 1], y, 0.3)}}
torch.randint(0, 2, (n, 2)) -> F.cross_entropy(out.view(-1, 2, 2), y)
torch.randn(n, 2) -> F.mse_loss(out[:, :2] + (0.5 * out[:, 2:]).exp() * torch.randn_like(y), y)
"""

OPTIMIZERS = """
SGD($p, lr={{0.05|torch.tensor(0.02)}}, momentum={{0|0.9}}, weight_decay={{0|0.1}})
SGD($p, lr=0.05, momentum=0.9, nesterov=True, maximize={{True|False}})
Adam($p, lr={{0.01|torch.tensor(0.02)}}, weight_decay={{0|0.1}}, amsgrad={{True|False}})
Adam($p, lr=0.01, betas=(0.5, 0.95), {{foreach|fused}}=True)
AdamW($p, lr=0.02, weight_decay={{0.01|0.1}}, foreach={{True|False|None}})
{{RMSprop|Adagrad|Adamax|NAdam|RAdam|ASGD|Rprop|Adafactor}}($p, lr=0.01)
RMSprop($p, lr=0.01, momentum=0.5, centered=True, weight_decay=0.1)
"""
PARAMETERS = """
net.parameters()
net.parameters()
net.named_parameters()
[{"params": [p], "lr": 0.01 * (i + 1)} for i, p in enumerate(net.parameters())]
[{"params": [p for p in net.parameters() if p.ndim < 2], "weight_decay": 0.0}, \
{"params": [p for p in net.parameters() if p.ndim > 1]}]
"""
SCHEDULES = """
StepLR(optimizer, 2, gamma=0.5)
ExponentialLR(optimizer, 0.9)
CosineAnnealingLR(optimizer, 4)
LambdaLR(optimizer, lambda e: 1 / (1 + e))
LinearLR(optimizer, 0.3, 1.0, 3)
OneCycleLR(optimizer, 0.1, total_steps=12, cycle_momentum=False)
"""

# How gradients come to be: of `loss`, which is that of `out`.
BACKWARD = """
loss.backward()
loss.backward()
(loss / 2).backward(); out = call(x.flip(0)); loss = $loss; (loss / 2).backward()
loss.backward(retain_graph=True); (0.3 * out.square().mean()).backward()
loss = loss + 0.01 * sum(p.square().sum() for p in net.parameters()); loss.backward()
used = [p for p in net.parameters() if p.requires_grad]; \
for p, g in zip(used, torch.autograd.grad(loss, used, allow_unused=True)): p.grad = g
"""
CLIPS = """
?0.3 nn.utils.clip_grad_norm_(net.parameters(), 0.5)
?0.1 nn.utils.clip_grad_value_(net.parameters(), 0.1)
"""
AVERAGE = """
with torch.no_grad(): [a.lerp_(p, 0.1) for a, p in zip(average.parameters(), net.parameters())]
"""
BETWEEN = """
?0.3 if t % 2: net.eval(); see("evaluated", evaluate(batch($b)[0])); net.train()
?0.1 if t == 2: list(net.parameters())[0].requires_grad_(False)
?0.1 if t == 3: optimizer.param_groups[0]["lr"] *= 0.5
?0.1 if t == 2: saved = copy.deepcopy((net.state_dict(), optimizer.state_dict()))
"""
PROGRAM = """
torch.manual_seed($seed)
torch.set_default_dtype(torch.$dtype)
nn, F, checkpoint = torch.nn, torch.nn.functional, torch.utils.checkpoint.checkpoint
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        $layers
    def forward(self, x):
        $forward
def batch(n):
    return $input, $target
net = Net()
see("start", net.state_dict())
jitter(net)
$frozen
optimizer = torch.optim.$optimizer
$schedule
average = copy.deepcopy(net).requires_grad_(False)
call = compiled_model(net)
def step(x, y):
    optimizer.zero_grad()
    out = call(x)
    loss = $loss
    $backward
    $clips
    optimizer.step()
    $average
    return loss.detach()
def evaluate(x):
    with torch.no_grad():
        return call(x)
step, evaluate = compiled_step(step), compiled_step(evaluate)
for t in range(6):
    see("loss", step(*batch($last if t == 4 else $b)))
    see("gradients", [p.grad for p in net.parameters()])
    $between
see("state", net.state_dict())
see("optimizer", optimizer.state_dict())
see("average", average.state_dict())
net.eval()
see("result", evaluate(batch($b)[0]))
see("random", torch.rand(2))
"""
