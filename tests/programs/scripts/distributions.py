"""Samples, densities, moments, divergences, gradients and transforms of distributions."""

import torch
from torch.distributions import *
from torch.distributions import constraints, transforms as T

torch.manual_seed(0)
D = [
    Normal(torch.zeros(2), torch.ones(2)),
    Bernoulli(torch.tensor([0.3, 0.7])),
    Categorical(logits=torch.tensor([[1.0, 2, 3]])),
    Multinomial(5, torch.tensor([0.2, 0.3, 0.5])),
    Binomial(10, torch.tensor([0.2, 0.5])),
    Poisson(torch.tensor([1.0, 15.0])),
    Uniform(-1.0, 2.0),
    Exponential(torch.tensor([0.5, 2.0])),
    Gamma(torch.tensor([0.5, 3.0]), torch.tensor([1.0, 2.0])),
    Beta(torch.tensor([0.5, 2.0]), torch.tensor([1.5, 2.0])),
    Dirichlet(torch.tensor([0.5, 1.0, 3.0])),
    StudentT(torch.tensor([3.0])),
    LogNormal(0.0, 1.0),
    MultivariateNormal(torch.zeros(2), torch.tensor([[2.0, 0.5], [0.5, 1.0]])),
    Independent(Normal(torch.zeros(3), torch.ones(3)), 1),
    Cauchy(0.0, 1.0),
    Chi2(torch.tensor([2.0])),
    FisherSnedecor(4.0, 6.0),
    Geometric(torch.tensor([0.3])),
    HalfNormal(1.0),
    HalfCauchy(1.0),
    LowRankMultivariateNormal(torch.zeros(3), torch.ones(3, 1), torch.ones(3)),
    NegativeBinomial(5, torch.tensor([0.4])),
    OneHotCategorical(torch.tensor([0.2, 0.8])),
    Pareto(1.0, 3.0),
    RelaxedBernoulli(torch.tensor(0.5), torch.tensor([0.3])),
    VonMises(torch.tensor([0.0]), torch.tensor([4.0])),
    Weibull(1.0, 2.0),
    InverseGamma(3.0, 2.0),
    ContinuousBernoulli(torch.tensor([0.3])),
    LKJCholesky(3, 1.0),
    MixtureSameFamily(
        Categorical(torch.tensor([0.3, 0.7])), Normal(torch.tensor([-1.0, 1.0]), torch.ones(2))
    ),
    TransformedDistribution(Normal(0.0, 1.0), [T.ExpTransform(), T.AffineTransform(1.0, 2.0)]),
]
for d in D:
    s = d.sample((3,))
    print(type(d).__name__, d.batch_shape, d.event_shape, s.shape, s.flatten()[:3])
    print("  ", d.log_prob(s).flatten()[:3])
    for name in ("mean", "variance", "mode", "stddev"):
        try:
            print("  ", name, getattr(d, name).flatten()[:3])
        except (NotImplementedError, AttributeError) as e:
            print("  ", name, type(e).__name__)
    for name in ("entropy",):
        try:
            print("  ", name, getattr(d, name)().flatten()[:3])
        except NotImplementedError:
            print("  ", name, "none")
    try:
        print("  cdf", d.cdf(s).flatten()[:2], d.expand((2, *d.batch_shape)).batch_shape, d)
    except NotImplementedError:
        print("  ", "no cdf")
for a, b in (
    (Normal(0.0, 1.0), Normal(1.0, 2.0)),
    (Gamma(2.0, 1.0), Gamma(3.0, 2.0)),
    (Beta(1.0, 2.0), Beta(2.0, 2.0)),
    (Dirichlet(torch.ones(3)), Dirichlet(torch.tensor([1.0, 2, 3]))),
    (Categorical(torch.ones(3)), Categorical(torch.tensor([1.0, 2, 3]))),
    (Bernoulli(0.3), Bernoulli(0.6)),
    (
        MultivariateNormal(torch.zeros(2), torch.eye(2)),
        MultivariateNormal(torch.ones(2), 2 * torch.eye(2)),
    ),
    (Laplace(0.0, 1.0), Laplace(1.0, 2.0)),
    (Exponential(1.0), Gamma(2.0, 1.0)),
    (Poisson(2.0), Poisson(3.0)),
    (Uniform(0.0, 1.0), Uniform(-1.0, 2.0)),
    (Geometric(0.3), Geometric(0.5)),
    (Gumbel(0.0, 1.0), Gumbel(1.0, 2.0)),
    (Pareto(1.0, 3.0), Exponential(1.0)),
    (Uniform(0.0, 1.0), Normal(0.0, 1.0)),
):
    print(type(a).__name__, type(b).__name__, kl_divergence(a, b))
for mk in (
    lambda p: Gamma(p, 1.0),
    lambda p: Beta(p, 2.0),
    lambda p: Dirichlet(torch.stack([p, p + 1])),
    lambda p: StudentT(p + 3.0),
    lambda p: Normal(p, p),
    lambda p: LogNormal(p, 1.0),
    lambda p: Exponential(p),
    lambda p: Weibull(p, 2.0),
    lambda p: VonMises(p, 1.0) if False else Kumaraswamy(p, 2.0),
    lambda p: RelaxedOneHotCategorical(p, logits=torch.tensor([0.1, 0.2, 0.3])),
):
    torch.manual_seed(1)
    p = torch.tensor(1.5, requires_grad=True)
    s = mk(p).rsample((4,))
    s.sum().backward()
    print(type(mk(p)).__name__, s.flatten()[:3], p.grad)
for t in (
    T.ExpTransform(),
    T.SigmoidTransform(),
    T.TanhTransform(),
    T.SoftplusTransform(),
    T.AffineTransform(1.0, 2.0),
    T.PowerTransform(torch.tensor(2.0)),
    T.StickBreakingTransform(),
    T.LowerCholeskyTransform(),
    T.CorrCholeskyTransform(),
    T.SoftmaxTransform(),
    T.ComposeTransform([T.ExpTransform(), T.AffineTransform(0.0, 3.0)]),
):
    x = (
        torch.tensor([0.1, 0.2, 0.3])
        if not isinstance(t, T.LowerCholeskyTransform)
        else torch.tensor([[1.0, 0.0], [0.2, 0.5]])
    )
    y = t(x)
    print(type(t).__name__, y.flatten(), t.inv(y).flatten())
    try:
        print(t.log_abs_det_jacobian(x, y))
    except NotImplementedError:
        print("none")
try:
    Normal(0.0, -1.0)
except ValueError as e:
    print(str(e)[:90])
try:
    Bernoulli(0.5).log_prob(torch.tensor(2.0))
except ValueError:
    print("ValueError")
print(
    constraints.positive.check(torch.tensor([1.0, -1.0])),
    biject_to(constraints.simplex),
    transform_to(constraints.interval(0.0, 1.0))(torch.tensor(0.0)),
)
