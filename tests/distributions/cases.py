"""One or more of every distribution, as functions of the package and of its parameters.

``CASES``: name -> (function of the package ``D`` and parameters, parameter arrays).
"""

import numpy as np


def a(*values):
    return np.array(values, np.float32)


EYE = np.eye(3, dtype=np.float32)
COVARIANCE = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.5]], np.float32)
FACTOR = np.linalg.cholesky(COVARIANCE).astype(np.float32)
BATCH = np.stack([COVARIANCE, 2 * COVARIANCE + 0.1 * EYE])
LOC3 = a(0.5, -1.0, 2.0)
WIDE = np.arange(6, dtype=np.float32).reshape(2, 3) / 3

CASES = {
    "Normal": (lambda D, m, s: D.Normal(m, s), [a(0.5, -1.0), a(0.3, 2.0)]),
    "Normal broadcast": (lambda D, m: D.Normal(m, 2.0), [WIDE]),
    "LogNormal": (lambda D, m, s: D.LogNormal(m, s), [a(0.5, -1.0), a(0.3, 1.0)]),
    "Bernoulli": (lambda D, p: D.Bernoulli(p), [a(0.1, 0.5, 0.8)]),
    "Bernoulli logits": (lambda D, x: D.Bernoulli(logits=x), [a(-2.0, 0.3, 5.0)]),
    "Categorical": (lambda D, p: D.Categorical(p), [a(0.1, 0.5, 0.8)]),
    "Categorical logits": (lambda D, x: D.Categorical(logits=x), [WIDE]),
    "OneHot": (lambda D, p: D.OneHotCategorical(p), [a(0.1, 0.5, 0.8)]),
    "OneHot logits": (lambda D, x: D.OneHotCategorical(logits=x), [WIDE]),
    "StraightThrough": (lambda D, x: D.OneHotCategoricalStraightThrough(logits=x), [WIDE]),
    "Multinomial": (lambda D, p: D.Multinomial(5, p), [a(0.1, 0.5, 0.8)]),
    "Multinomial logits": (lambda D, x: D.Multinomial(4, logits=x), [WIDE]),
    "Binomial": (lambda D, p: D.Binomial(7, p), [a(0.1, 0.5, 0.8)]),
    "Binomial logits": (lambda D, x: D.Binomial(40, logits=x), [a(-1.0, 0.0, 2.0)]),
    "NegativeBinomial": (lambda D, p: D.NegativeBinomial(3, p), [a(0.1, 0.5, 0.8)]),
    "NegativeBinomial logits": (
        lambda D, n, x: D.NegativeBinomial(n, logits=x),
        [a(2.5, 4.0), a(-1.0, 1.0)],
    ),
    "Geometric": (lambda D, p: D.Geometric(p), [a(0.1, 0.5, 0.8)]),
    "Geometric logits": (lambda D, x: D.Geometric(logits=x), [a(-1.0, 0.5)]),
    "Poisson": (lambda D, r: D.Poisson(r), [a(0.3, 4.0, 30.0)]),
    "Uniform": (lambda D, x, y: D.Uniform(x, y), [a(-1.0, 0.0), a(1.0, 5.0)]),
    "Exponential": (lambda D, r: D.Exponential(r), [a(0.3, 4.0)]),
    "Gamma": (lambda D, c, r: D.Gamma(c, r), [a(0.3, 1.0, 7.0), a(1.0, 2.0, 0.5)]),
    "Chi2": (lambda D, d: D.Chi2(d), [a(0.5, 3.0)]),
    "Beta": (lambda D, x, y: D.Beta(x, y), [a(0.5, 2.0, 5.0), a(0.7, 1.0, 3.0)]),
    "Kumaraswamy": (lambda D, x, y: D.Kumaraswamy(x, y), [a(0.5, 2.0, 5.0), a(0.7, 1.0, 3.0)]),
    "Dirichlet": (lambda D, c: D.Dirichlet(c), [a(0.5, 2.0, 5.0)]),
    "Dirichlet batch": (lambda D, c: D.Dirichlet(c), [WIDE + 0.2]),
    "Laplace": (lambda D, m, s: D.Laplace(m, s), [a(0.5, -1.0), a(0.3, 2.0)]),
    "Cauchy": (lambda D, m, s: D.Cauchy(m, s), [a(0.5, -1.0), a(0.3, 2.0)]),
    "HalfNormal": (lambda D, s: D.HalfNormal(s), [a(0.3, 2.0)]),
    "HalfCauchy": (lambda D, s: D.HalfCauchy(s), [a(0.3, 2.0)]),
    "StudentT": (
        lambda D, d, m, s: D.StudentT(d, m, s),
        [a(0.7, 1.5, 5.0), a(0.0, 1.0, 2.0), a(1.0, 0.5, 2.0)],
    ),
    "FisherSnedecor": (
        lambda D, x, y: D.FisherSnedecor(x, y),
        [a(1.0, 3.0, 6.0), a(2.0, 5.0, 9.0)],
    ),
    "Gumbel": (lambda D, m, s: D.Gumbel(m, s), [a(0.5, -1.0), a(0.3, 2.0)]),
    "Weibull": (lambda D, s, c: D.Weibull(s, c), [a(0.5, 1.0), a(1.3, 2.0)]),
    "Pareto": (lambda D, s, x: D.Pareto(s, x), [a(0.5, 1.0), a(1.3, 3.0)]),
    "InverseGamma": (lambda D, c, r: D.InverseGamma(c, r), [a(0.5, 1.5, 4.0), a(1.3, 2.0, 1.0)]),
    "VonMises": (lambda D, m, c: D.VonMises(m, c), [a(0.5, -3.0, 1.0), a(0.2, 2.0, 40.0)]),
    "ContinuousBernoulli": (lambda D, p: D.ContinuousBernoulli(p), [a(0.1, 0.4995, 0.8)]),
    "ContinuousBernoulli logits": (
        lambda D, x: D.ContinuousBernoulli(logits=x),
        [a(-2.0, 0.001, 3.0)],
    ),
    "LogisticNormal": (lambda D, m, s: D.LogisticNormal(m, s), [a(0.5, -1.0), a(0.3, 1.0)]),
    "RelaxedBernoulli": (lambda D, t, p: D.RelaxedBernoulli(t, p), [np.float32(0.7), a(0.2, 0.9)]),
    "RelaxedOneHot": (
        lambda D, t, p: D.RelaxedOneHotCategorical(t, p),
        [np.float32(0.7), a(0.2, 0.9, 0.5)],
    ),
    "MultivariateNormal": (lambda D, m, c: D.MultivariateNormal(m, c), [LOC3, COVARIANCE]),
    "MultivariateNormal precision": (
        lambda D, m, c: D.MultivariateNormal(m, precision_matrix=c),
        [WIDE, COVARIANCE],
    ),
    "MultivariateNormal scale_tril": (
        lambda D, m, c: D.MultivariateNormal(m, scale_tril=c),
        [LOC3, np.stack([FACTOR, 2 * FACTOR])],
    ),
    "LowRank": (
        lambda D, m, w, d: D.LowRankMultivariateNormal(m, w, d),
        [LOC3, WIDE.T.copy(), a(0.5, 1.0, 2.0)],
    ),
    "Wishart": (lambda D, n, c: D.Wishart(n, c), [np.float32(4.5), COVARIANCE]),
    "Wishart batch": (
        lambda D, n, c: D.Wishart(n, scale_tril=c),
        [a(3.5, 6.0), np.linalg.cholesky(BATCH).astype(np.float32)],
    ),
    "LKJCholesky": (lambda D, c: D.LKJCholesky(3, c), [a(0.5, 2.0)]),
    "GeneralizedPareto": (
        lambda D, m, s, c: D.GeneralizedPareto(m, s, c),
        [a(0.0, 1.0, -1.0), a(1.0, 2.0, 0.5), a(0.3, 0.0, -0.4)],
    ),
    "Independent": (lambda D, m: D.Independent(D.Normal(m, 1.0), 1), [WIDE]),
    "Independent Bernoulli": (lambda D, p: D.Independent(D.Bernoulli(p), 1), [WIDE / 2]),
    "Mixture": (
        lambda D, p, m: D.MixtureSameFamily(D.Categorical(p), D.Normal(m, 1.0)),
        [a(0.2, 0.3, 0.5), LOC3],
    ),
    "Mixture of vectors": (
        lambda D, p, m: D.MixtureSameFamily(D.Categorical(p), D.Independent(D.Normal(m, 1.0), 1)),
        [a(0.2, 0.8), WIDE],
    ),
    "Transformed": (
        lambda D, m, s: D.TransformedDistribution(
            D.Normal(m, s), [D.SigmoidTransform(), D.AffineTransform(1.0, -2.0)]
        ),
        [a(0.5, -1.0), a(0.3, 1.0)],
    ),
    "Transformed tanh": (
        lambda D, m: D.TransformedDistribution(D.Normal(m, 0.5), [D.TanhTransform(cache_size=1)]),
        [WIDE - 0.5],
    ),
    "Transformed vectors": (
        lambda D, m: D.TransformedDistribution(
            D.Normal(m, 1.0), [D.AffineTransform(0.0, 2.0), D.StickBreakingTransform()]
        ),
        [WIDE],
    ),
}
