"""Arguments that are refused, subclasses, defaults, and what torch gets wrong."""

import pickle

import numpy as np
import pytest
import torch

import rushlight as rl

D = rl.distributions

REFUSED = [
    ("D.Normal(0.0, -1.0)", ValueError, "scale"),
    ("D.Normal(t.zeros(2), t.ones(3))", RuntimeError, None),
    ("D.Normal('a', 1.0)", ValueError, None),
    ("D.Bernoulli()", ValueError, "probs"),
    ("D.Bernoulli(0.3, 0.4)", ValueError, "logits"),
    ("D.Bernoulli(1.5)", ValueError, "probs"),
    ("D.Categorical(t.tensor(0.3))", ValueError, "probs"),
    ("D.Categorical(t.zeros(3))", ValueError, "probs"),
    ("D.Uniform(1.0, 0.0)", ValueError, "low"),
    ("D.Normal(0.0, 1.0).log_prob(t.tensor(float('nan')))", ValueError, "support"),
    ("D.Normal(0.0, 1.0).log_prob(1.0)", ValueError, "Tensor"),
    ("D.Bernoulli(0.5).log_prob(t.tensor(0.5))", ValueError, "support"),
    ("D.Uniform(0.0, 1.0).log_prob(t.tensor(2.0))", ValueError, "support"),
    ("D.Normal(t.zeros(2), 1.0).log_prob(t.zeros(3))", ValueError, "broadcast"),
    ("D.Dirichlet(t.ones(3)).log_prob(t.ones(2))", ValueError, "event_shape"),
    ("D.LogNormal(0.0, 1.0).log_prob(t.tensor(-1.0))", ValueError, "support"),
    ("D.MultivariateNormal(t.zeros(2))", ValueError, "covariance_matrix"),
    ("D.MultivariateNormal(t.zeros(2), -t.eye(2))", ValueError, "covariance_matrix"),
    ("D.Multinomial(t.tensor(5), t.ones(3))", NotImplementedError, "total_count"),
    ("D.Multinomial(-1, t.ones(3))", ValueError, "total_count"),
    ("D.LogNormal(0.0, 1.0).cdf(t.tensor([0.0, -1.0]))", ValueError, "support"),
    ("D.Poisson(1.0).cdf(t.tensor(1.0))", NotImplementedError, None),
    ("D.Poisson(1.0).entropy()", NotImplementedError, None),
    ("D.Poisson(1.0).rsample()", NotImplementedError, None),
    ("D.Poisson(1.0).enumerate_support()", NotImplementedError, None),
    ("D.Normal(0.0, 1.0).sample(3)", TypeError, None),
    (
        "D.Binomial(t.tensor([3.0, 4.0]), t.tensor([0.3, 0.3])).enumerate_support()",
        NotImplementedError,
        "total count",
    ),
    ("D.Independent(D.Normal(0.0, 1.0), 1)", ValueError, "reinterpreted_batch_ndims"),
    ("D.Normal(t.zeros(2), 1.0).expand((3,))", RuntimeError, None),
    ("D.Geometric(0.0)", ValueError, "positive"),
    ("D.Dirichlet(t.tensor(1.0))", ValueError, "concentration"),
    ("D.Wishart(0.5, t.eye(2))", ValueError, "df"),
    ("D.LKJCholesky(1)", ValueError, "dim"),
    ("D.MixtureSameFamily(D.Normal(0.0, 1.0), D.Normal(0.0, 1.0))", ValueError, "Categorical"),
    (
        "D.MixtureSameFamily(D.Categorical(t.ones(2)), D.Normal(t.zeros(3), 1.0))",
        ValueError,
        "component",
    ),
    (
        "D.TransformedDistribution(D.Normal(0.0, 1.0), [D.StickBreakingTransform()])",
        ValueError,
        None,
    ),
    ("D.TransformedDistribution(D.Normal(0.0, 1.0), 3)", ValueError, "transforms"),
    ("D.ExpTransform(cache_size=2)", ValueError, "cache_size"),
    ("D.ReshapeTransform((2,), (3,))", ValueError, None),
    ("D.Distribution.set_default_validate_args(3)", ValueError, None),
    ("D.transform_to(3)", NotImplementedError, "Cannot transform"),
]


@pytest.mark.parametrize("source, kind, word", REFUSED)
def test_refused(source, kind, word):
    for t in (rl, torch):
        with pytest.raises(kind, match=word) as caught:
            eval(source, {"t": t, "D": t.distributions})
        assert type(caught.value) is kind or t is rl


def test_message_names_the_argument_and_the_values():
    with pytest.raises(ValueError) as caught:
        D.Normal(rl.zeros(2), rl.tensor([1.0, -1.0]))
    text = str(caught.value)
    assert "parameter scale (Tensor of shape (2,))" in text
    assert "GreaterThan(lower_bound=0.0)" in text and "-1." in text


def test_validation_can_be_turned_off():
    assert D.Normal(0.0, -1.0, validate_args=False).scale.item() == -1
    d = D.Uniform(0.0, 1.0, validate_args=False)
    assert d.log_prob(rl.tensor(2.0)).item() == -float("inf")
    D.Distribution.set_default_validate_args(False)
    try:
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)


def test_subclass_with_another_constructor_must_define_expand():
    class Unit(D.Normal):
        def __init__(self, loc):
            super().__init__(loc, 1.0)

    with pytest.raises(NotImplementedError):
        Unit(0.0).expand((2,))

    class Expandable(Unit):
        def expand(self, batch_shape, _instance=None):
            new = self._get_checked_instance(Expandable, _instance)
            return super().expand(batch_shape, _instance=new)

    wide = Expandable(0.0).expand((2,))
    assert type(wide) is Expandable and wide.loc.shape == (2,)


def test_own_distribution():
    class Die(D.Distribution):
        arg_constraints = {"sides": D.constraints.positive_integer}  # noqa: RUF012

        def __init__(self, sides):
            self.sides = rl.as_tensor(sides)
            super().__init__(self.sides.shape)

        @D.constraints.dependent_property(is_discrete=True, event_dim=0)
        def support(self):
            return D.constraints.integer_interval(1, self.sides)

        def log_prob(self, value):
            self._validate_sample(value)
            return -self.sides.log().expand(value.shape)

    die = Die(rl.tensor(6.0))
    assert repr(die) == "Die(sides: 6.0)"
    assert die.log_prob(rl.tensor(3.0)).item() == pytest.approx(-np.log(6))
    with pytest.raises(ValueError):
        die.log_prob(rl.tensor(7.0))
    with pytest.raises(NotImplementedError):
        die.sample()


def test_pickle_and_deprecated_sample():
    d = pickle.loads(pickle.dumps(D.Gamma(rl.tensor([1.0, 2.0]), 3.0)))
    assert d.mean.tolist() == pytest.approx([1 / 3, 2 / 3])
    with pytest.warns(FutureWarning):
        assert d.sample_n(4).shape == (4, 2)


def test_modules_have_torch_names():
    from rushlight.distributions.categorical import Categorical
    from rushlight.distributions.kl import kl_divergence
    from rushlight.distributions.multivariate_normal import MultivariateNormal
    from rushlight.distributions.utils import broadcast_all

    assert Categorical is D.Categorical and MultivariateNormal is D.MultivariateNormal
    assert kl_divergence is D.kl_divergence and broadcast_all(1)[0].dtype == rl.float32
    missing = [n for n in torch.distributions.__all__ if not hasattr(D, n)]
    assert not missing


def test_mode_of_kumaraswamy():
    d = D.Kumaraswamy(rl.tensor([5.0, 0.5]), rl.tensor([3.0, 2.0]))
    grid = rl.linspace(0.001, 0.999, 999)
    best = grid[d.expand((2,)).log_prob(grid.unsqueeze(-1)).argmax(0)]
    assert d.mode[0].item() == pytest.approx(best[0].item(), abs=2e-3)
    assert rl.isnan(d.mode[1])


def test_wishart_samples_average_to_the_mean():
    covariance = rl.tensor([[2.0, 0.3], [0.3, 1.0]])
    d = D.Wishart(rl.tensor(4.0), covariance)
    samples = d.sample((4000,))
    assert rl.allclose(samples.mean(0), d.mean, rtol=0.1, atol=0.1)
    assert rl.allclose(samples.var(0), d.variance, rtol=0.2, atol=0.3)


@pytest.mark.parametrize("shape", [0.2, 0.5, 1.0, 3.0, 40.0, 2e5])
def test_gamma_samples_move_with_their_quantile(shape):
    """The derivative of a sample is that of the inverse distribution function."""
    from scipy import special

    a = rl.tensor([shape] * 50, dtype=rl.float64, requires_grad=True)
    x = D.Gamma(a, 1.0, validate_args=False).rsample()
    (g,) = rl.autograd.grad(x.sum(), a)
    x, h = x.detach().numpy(), 1e-4 * shape
    below, above = special.gammainc(shape, x), special.gammaincc(shape, x)

    def quantile(s):
        inner = special.gammaincinv(s, below)
        return np.where(below < 0.5, inner, special.gammainccinv(s, above))

    slope = (quantile(shape + h) - quantile(shape - h)) / (2 * h)
    np.testing.assert_allclose(g.numpy(), slope, rtol=2e-5)


def test_beta_samples_move_with_their_quantile():
    from scipy import special

    for a, b in ((0.3, 0.4), (2.0, 5.0), (30.0, 4.0), (200.0, 300.0)):
        p = rl.tensor([a] * 30, dtype=rl.float64, requires_grad=True)
        x = D.Beta(p, rl.tensor(b, dtype=rl.float64)).rsample()
        (g,) = rl.autograd.grad(x.sum(), p)
        x, h = x.detach().numpy(), 1e-4 * a
        share = special.betainc(a, b, x)
        slope = (special.betaincinv(a + h, b, share) - special.betaincinv(a - h, b, share)) / (
            2 * h
        )
        inner = (x > 1e-9) & (x < 1 - 1e-6)
        np.testing.assert_allclose(g.numpy()[inner], slope[inner], rtol=1e-4)


def test_gradient_of_a_policy_and_of_a_variational_bound():
    logits = rl.zeros(3, requires_grad=True)
    policy = D.Categorical(logits=logits)
    (-policy.log_prob(rl.tensor(1))).backward()
    np.testing.assert_allclose(logits.grad.numpy(), [1 / 3, -2 / 3, 1 / 3], rtol=1e-6)
    loc = rl.zeros(2, requires_grad=True)
    q = D.Independent(D.Normal(loc, 1.0), 1)
    bound = D.kl_divergence(q, D.Independent(D.Normal(rl.ones(2), 1.0), 1))
    (bound + q.rsample().sum()).backward()
    np.testing.assert_allclose(loc.grad.numpy(), [0.0, 0.0], atol=1e-6)


@pytest.mark.parametrize("lib", [torch, rl])
def test_densities_at_numbers(lib):
    assert lib.distributions.Gamma(3.0, 1.0).log_prob(1).item() == pytest.approx(-1.693147)
    assert lib.distributions.Chi2(3.0).log_prob(1).item() == pytest.approx(-1.418939)
    half = lib.distributions.HalfCauchy(1.0, validate_args=False)
    assert half.log_prob(0.5).item() == pytest.approx(-0.674726)


@pytest.mark.parametrize("lib", [torch, rl])
@pytest.mark.parametrize("concentration", [1e-5, 1e-10, 1e-38])
def test_simplexes_too_close_to_a_corner_to_say_which(lib, concentration):
    a = lib.tensor([concentration] * 2)
    assert lib.distributions.Dirichlet(a).sample((3,)).tolist() == [[0.5, 0.5]] * 3
    assert lib.distributions.Beta(a[0], a[1]).sample((3,)).tolist() == [0.5] * 3


@pytest.mark.parametrize("logit", [1e10, 100.0, -100.0, -1e10, 0.001])
def test_continuous_bernoulli_of_any_logit(logit):
    def values(lib):
        lib.manual_seed(0)
        d = lib.distributions.ContinuousBernoulli(logits=lib.tensor(logit))
        found = d.mean, d.variance, d.entropy(), d.log_prob(lib.tensor(0.3)), *d.sample((2,))
        return [float(x) for x in found]

    assert values(rl) == pytest.approx(values(torch), rel=1e-4, abs=1e-6)


def test_a_subclass_reads_the_factor_as_given():
    for lib in (rl, torch):
        found = lib.distributions.MultivariateNormal(lib.zeros(3, 2), 4 * lib.eye(2))
        assert found.scale_tril.shape == (3, 2, 2)
        factor = found.expand((5, 3))._unbroadcasted_scale_tril
        assert factor.tolist() == [[2.0, 0.0], [0.0, 2.0]]


@pytest.mark.parametrize("name", ["LogNormal", "Weibull", "InverseGamma", "Kumaraswamy", "Gumbel"])
def test_distribution_functions_at_the_ends(name):
    """Zero, which is in no support, is where a distribution function begins; a number will do."""
    for value in ([0.0, 1.0], 1.0):
        results = []
        for t in (rl, torch):
            d = getattr(t.distributions, name)(t.ones(1), t.ones(1))
            try:
                results.append(
                    d.cdf(t.tensor(value) if isinstance(value, list) else value).tolist()
                )
            except AttributeError:
                results.append("no tensor")  # which torch's log asks for
        ours, theirs = results
        assert theirs == "no tensor" or ours == pytest.approx(theirs)
