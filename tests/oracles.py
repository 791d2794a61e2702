"""The dense reference that the compiled code is held against, and random problems to try it on.

Everything here is written for plainness: dense matrices, scikit-learn's kernel objects, and the
formulas as they stand in Rasmussen & Williams, *Gaussian Processes for Machine Learning* (2006).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.special import expit, gamma, kv

from gprat.kernels import (
    RBF,
    ActiveDims,
    ArcCosine,
    ChangePoint,
    ConstantKernel,
    Cosine,
    DotProduct,
    Exponentiation,
    ExpSineSquared,
    Linear,
    Matern,
    Opcode,
    Periodic,
    Polynomial,
    RationalQuadratic,
    SpectralMixture,
    WhiteKernel,
)


def covariance(kernel, X, Z=None):
    """K(X, X), or K(X, Z), as scikit-learn computes it."""
    return kernel(X, Z)


def _noisy_covariance(kernel, X, noise):
    K = covariance(kernel, X)
    K[np.diag_indices_from(K)] += noise
    return K


def _as_columns(Y):
    Y = np.asarray(Y, dtype=np.float64)
    return Y.reshape(len(Y), -1)


def log_marginal_likelihood(kernel, X, Y, noise, eval_gradient=False):
    """Log marginal likelihood, summed over the outputs (R&W 2006, Alg. 2.1 and eq. 5.9).

    Y has shape (n,) or (n, k); noise, the variance of the observations, is a scalar or has shape
    (n,). With `eval_gradient`, also return the gradient with respect to ``kernel.theta`` and the
    derivative with respect to the logarithm of a factor common to all noise variances.
    """
    Y = _as_columns(Y)
    n, k = Y.shape
    noise = np.broadcast_to(noise, n)

    factor = cho_factor(_noisy_covariance(kernel, X, noise), lower=True)
    alpha = cho_solve(factor, Y)
    log_diagonal = np.log(np.diag(factor[0]))
    value = -0.5 * np.sum(Y * alpha) - k * np.sum(log_diagonal) - 0.5 * k * n * np.log(2 * np.pi)
    if not eval_gradient:
        return value

    _, dK = kernel(X, eval_gradient=True)
    W = 0.5 * (alpha @ alpha.T - k * cho_solve(factor, np.eye(n)))
    return value, np.einsum("ij,ijp->p", W, dK), np.sum(np.diag(W) * noise)


def predict(kernel, X, Y, noise, Xs):
    """Mean (m, k), variance (m,) and covariance (m, m) of the latent function (Alg. 2.1)."""
    factor = cho_factor(_noisy_covariance(kernel, X, noise), lower=True)
    Ks = covariance(kernel, X, Xs)
    V = solve_triangular(factor[0], Ks, lower=True)
    mean = Ks.T @ cho_solve(factor, _as_columns(Y))
    variance = kernel.diag(Xs) - np.sum(V**2, axis=0)
    return mean, variance, covariance(kernel, Xs) - V.T @ V


class Dense:
    """A model with a trend as R&W 2006, section 2.7 writes it, by dense matrices.

    H (n, q) holds the basis functions at the training points; with q = 0 there is no trend.
    """

    def __init__(self, kernel, X, Y, noise, H):
        self.kernel, self.X, self.Y, self.H = kernel, X, _as_columns(Y), H
        self.n, self.k = self.Y.shape
        self.q = H.shape[1]
        self.noise = np.broadcast_to(noise, self.n)
        self.K = _noisy_covariance(kernel, X, self.noise)
        self.inverse = np.linalg.inv(self.K)
        self.A = H.T @ self.inverse @ H
        self.beta = np.linalg.solve(self.A, H.T @ self.inverse @ self.Y)
        # P y = K⁻¹(y − Hβ): what is left once the trend is projected out.
        self.P = self.inverse - self.inverse @ H @ np.linalg.solve(self.A, H.T @ self.inverse)
        self.alpha = self.P @ self.Y

    def log_marginal_likelihood(self):
        """Equation 2.45, summed over the outputs."""
        determinants = np.linalg.slogdet(self.K)[1] + np.linalg.slogdet(self.A)[1]
        constant = (self.n - self.q) * np.log(2 * np.pi)
        return -0.5 * np.sum(self.Y * self.alpha) - 0.5 * self.k * (determinants + constant)

    def leave_one_out(self):
        """Means (n, k), variances (n,) and log densities (n, k) by refitting n times."""
        mean, variance = np.empty((self.n, self.k)), np.empty(self.n)
        for i in range(self.n):
            rest = np.arange(self.n) != i
            model = Dense(self.kernel, self.X[rest], self.Y[rest], self.noise[rest], self.H[rest])
            mean[[i]], variance[[i]], _ = model.predict(self.X[[i]], self.H[[i]])
        variance += self.noise
        residual = (self.Y - mean) / np.sqrt(variance)[:, None]
        return mean, variance, -0.5 * (residual**2 + np.log(2 * np.pi * variance)[:, None])

    def predict(self, Xs, Hs):
        """Mean (m, k), variance (m,) and covariance (m, m): equations 2.41 and 2.42."""
        Ks = covariance(self.kernel, self.X, Xs)
        R = Hs - Ks.T @ self.inverse @ self.H
        mean = Ks.T @ self.inverse @ (self.Y - self.H @ self.beta) + Hs @ self.beta
        # White noise tells a point apart from all others but itself.
        prior = covariance(self.kernel, Xs)
        cov = prior - Ks.T @ self.inverse @ Ks + R @ np.linalg.solve(self.A, R.T)
        return mean, np.diag(cov).copy(), cov


def evaluate_program(program, X, Z=None):
    """K(X, X), or K(X, Z), by interpreting a kernel program."""
    stack = []
    for opcode, parameters, features, constant, reciprocal in program.instructions:
        if opcode == Opcode.SUM:
            stack.append(stack.pop() + stack.pop())
        elif opcode == Opcode.PRODUCT:
            stack.append(stack.pop() * stack.pop())
        elif opcode == Opcode.POWER:
            stack.append(stack.pop() ** constant)
        else:
            values = [program.parameters[first : first + count] for first, count in parameters]
            if reciprocal:
                values = [reciprocal / value for value in values]
            columns = list(features or range(X.shape[1]))
            pair = (X[:, columns], None if Z is None else Z[:, columns])
            stack.append(_evaluate_leaf(opcode, values, constant, *pair))
    (K,) = stack
    return K


def _evaluate_leaf(opcode, values, constant, X, Z):
    Z_or_X = X if Z is None else Z
    shape = len(X), len(Z_or_X)
    if opcode == Opcode.CONSTANT:
        return np.full(shape, *values)
    if opcode == Opcode.WHITE:
        return values[0] * (np.eye(len(X)) if Z is None else np.zeros(shape))
    if opcode in _BY_POINT:
        return _BY_POINT[opcode](X, Z_or_X, constant, *values)
    return _BY_DIFFERENCE[opcode](X[:, np.newaxis, :] - Z_or_X[np.newaxis, :, :], constant, *values)


def _linear(X, Z, _, variance, centre):
    return ((X - centre) * variance) @ (Z - centre).T


def _sigmoid(X, Z, sign, location, width):
    return expit(sign * (X - location) / width) * expit(sign * (Z - location) / width).T


def _with_bias(X, weight_variance, bias_variance):
    return np.column_stack([np.sqrt(weight_variance) * X, np.full(len(X), np.sqrt(bias_variance))])


def _norm(X, Z, order, *variances):
    norms = [np.linalg.norm(_with_bias(points, *variances), axis=1) for points in (X, Z)]
    return np.outer(*norms) ** order


def _angular(X, Z, order, *variances):
    """Cho & Saul (2009), eq. 6, without the norms."""
    units = [_with_bias(points, *variances) for points in (X, Z)]
    U, V = (points / np.linalg.norm(points, axis=1, keepdims=True) for points in units)
    U, V = U[:, np.newaxis, :], V[np.newaxis, :, :]
    # An arccos would be wrong by 1e-8 where points coincide (Kahan 2006).
    t = 2 * np.arctan2(np.linalg.norm(U - V, axis=-1), np.linalg.norm(U + V, axis=-1))
    J = {
        0: np.pi - t,
        1: np.sin(t) + (np.pi - t) * np.cos(t),
        2: 3 * np.sin(t) * np.cos(t) + (np.pi - t) * (1 + 2 * np.cos(t) ** 2),
    }
    return J[order] / np.pi


_BY_POINT = {
    Opcode.DOT_PRODUCT: lambda X, Z, _, sigma_0: sigma_0**2 + X @ Z.T,
    Opcode.LINEAR: _linear,
    Opcode.SIGMOID: _sigmoid,
    Opcode.ANGULAR: _angular,
    Opcode.NORM: _norm,
}


def _scaled_distance(difference, length_scale):
    return np.sqrt(np.sum((difference / length_scale) ** 2, axis=-1))


def _rational_quadratic(difference, _, alpha, length_scale):
    return (1 + _scaled_distance(difference, length_scale) ** 2 / (2 * alpha)) ** -alpha


def _exp_sine_squared(difference, _, length_scale, periodicity):
    distance = np.sqrt(np.sum(difference**2, axis=-1))
    return np.exp(-2 * (np.sin(np.pi * distance / periodicity) / length_scale) ** 2)


def _periodic(difference, _, length_scale, periodicity):
    sines = np.sin(np.pi * difference / periodicity) / length_scale
    return np.exp(-2 * np.sum(sines**2, axis=-1))


def _matern(difference, nu, length_scale):
    """R&W 2006, eq. 4.14, and its limit where the points coincide."""
    z = np.sqrt(2 * nu) * _scaled_distance(difference, length_scale)
    far = z > 0
    K = np.ones(z.shape)
    K[far] = 2 ** (1 - nu) / gamma(nu) * z[far] ** nu * kv(nu, z[far])
    return K


def _of_distance(function):
    return lambda difference, _, length_scale: function(_scaled_distance(difference, length_scale))


_BY_DIFFERENCE = {
    Opcode.RBF: _of_distance(lambda r: np.exp(-0.5 * r**2)),
    Opcode.MATERN12: _of_distance(lambda r: np.exp(-r)),
    Opcode.MATERN32: _of_distance(lambda r: (1 + np.sqrt(3) * r) * np.exp(-np.sqrt(3) * r)),
    Opcode.MATERN52: _of_distance(
        lambda r: (1 + np.sqrt(5) * r + 5 / 3 * r**2) * np.exp(-np.sqrt(5) * r)
    ),
    Opcode.MATERN: _matern,
    Opcode.RATIONAL_QUADRATIC: _rational_quadratic,
    Opcode.EXP_SINE_SQUARED: _exp_sine_squared,
    Opcode.PERIODIC: _periodic,
    Opcode.COSINE: lambda difference, _, period: np.cos(
        2 * np.pi * np.sum(difference / period, axis=-1)
    ),
}


# Any positive power of these is a covariance function again; of others, integer powers only.
INFINITELY_DIVISIBLE = (ConstantKernel, RBF, RationalQuadratic, ExpSineSquared)


def random_kernel(rng, d, depth):
    """Draw a positive semidefinite kernel on d features, nested `depth` deep.

    Leaves of all classes occur (ExpSineSquared only for d = 1: it is indefinite otherwise),
    isotropic and with one value a feature, with hyperparameters free or fixed at random, and
    sums, products, powers, change points, and kernels of some of the features. Hyperparameters are
    of order one, which suits the points that `random_problem` draws.
    """
    if depth == 0:
        return _random_leaf(rng, d)
    operator = rng.choice(["sum", "product", "power", "active_dims", "change_point"])
    if operator == "power":
        base = random_kernel(rng, d, depth - 1)
        if isinstance(base, INFINITELY_DIVISIBLE):
            return Exponentiation(base, float(rng.choice([0.5, 1.5, 2.0, 3.0])))
        return Exponentiation(base, 2.0)
    if operator == "active_dims":
        dims = rng.permutation(d)[: rng.integers(1, d + 1)].tolist()
        return ActiveDims(random_kernel(rng, len(dims), depth - 1), dims)
    k1, k2 = random_kernel(rng, d, depth - 1), random_kernel(rng, d, rng.integers(depth))
    if operator == "change_point":
        location, width = rng.uniform(-0.5, 0.5), rng.uniform(0.2, 1.0)
        feature = int(rng.integers(d))
        bounds = ("fixed" if rng.random() < 0.3 else (-5.0, 5.0), _random_bounds(rng))
        return ChangePoint(k1, k2, location, width, feature, *bounds)
    return k1 + k2 if operator == "sum" else k1 * k2


def _random_bounds(rng):
    return "fixed" if rng.random() < 0.3 else (1e-3, 1e3)


def _random_leaf(rng, d):
    def value(size=None):
        return np.exp(rng.uniform(-0.7, 0.7, size))

    def each():
        """One value for all features, or one each."""
        return value(d if rng.random() < 0.5 else None)

    def bounds(count=1):
        return [_random_bounds(rng) for _ in range(count)]

    def linear():
        centre_bounds = "fixed" if rng.random() < 0.5 else (-3.0, 3.0)
        return Linear(each(), rng.normal(size=d), *bounds(), centre_bounds)

    def spectral_mixture():
        q, several = rng.integers(1, 4), rng.random() < 0.5
        shape = (q, d) if several else (q,)
        return SpectralMixture(value(q), value(shape), value(shape), *bounds(3))

    leaves = [
        lambda: ConstantKernel(value(), *bounds()),
        lambda: WhiteKernel(value(), *bounds()),
        lambda: RBF(each(), *bounds()),
        lambda: Matern(each(), *bounds(), nu=rng.choice([0.5, 1.5, 2.5, np.inf])),
        lambda: Matern(each(), "fixed", nu=rng.choice([0.8, 2.0, 3.5])),
        lambda: RationalQuadratic(each(), value(), *bounds(2)),
        lambda: DotProduct(value(), *bounds()),
        lambda: Periodic(each(), each(), *bounds(2)),
        linear,
        lambda: Polynomial(int(rng.integers(1, 4)), each(), value(), *bounds(2)),
        lambda: Cosine(each(), *bounds()),
        spectral_mixture,
        lambda: ArcCosine(int(rng.integers(3)), each(), value(), *bounds(2)),
    ]
    if d == 1:
        leaves.append(lambda: ExpSineSquared(value(), 2 * value(), *bounds(2)))
    return leaves[rng.integers(len(leaves))]()


def random_problem(rng, n, m, d, k):
    """Draw training points X (n, d), k noisy smooth outputs Y (n, k) and test points Xs (m, d).

    The points have expected squared norm 1, so that typical distances do not depend on d.
    """
    X, Xs = rng.normal(scale=d**-0.5, size=(n, d)), rng.normal(scale=d**-0.5, size=(m, d))
    Y = np.sin(3 * X @ rng.normal(size=(d, k))) + 0.1 * rng.normal(size=(n, k))
    return X, Y, Xs
