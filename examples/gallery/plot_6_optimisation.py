"""
Bayesian optimisation
=====================

Where is the lowest point of a function that takes an hour to evaluate? Try the point where the
model expects the largest improvement. The exact gradient of a prediction finds that point.
"""

# %%
# The function, of two variables (Branin's, a usual test: three valleys, equally deep), and eight
# first trials.

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm, qmc

import gprat
from gprat.kernels import ConstantKernel, Matern

LOWER, UPPER = np.array([-5.0, 0.0]), np.array([10.0, 15.0])


def expensive(X):
    """Return Branin's function at points of shape (m, 2)."""
    a, b = X[:, 0], X[:, 1]
    bowl = b - 5.1 / (4 * np.pi**2) * a**2 + 5 / np.pi * a - 6
    return bowl**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(a) + 10


X = qmc.scale(qmc.Sobol(2, scramble=False).random(8), LOWER, UPPER)
y = expensive(X)

# %%
# The expected improvement over the best value so far, and its gradient by the chain rule: that of
# the mean and the variance come from ``predict_gradient``.


def negative_improvement(x, gp, best):
    """Return minus the expected improvement at one point, and its gradient."""
    mean, variance = gp.predict_with_uncertainty(x[None])
    by_mean, by_variance = gp.predict_gradient(x[None])
    std = np.sqrt(max(variance[0], 1e-12))
    z = (best - mean[0]) / std
    gradient = -norm.cdf(z) * by_mean[0] + norm.pdf(z) * by_variance[0] / (2 * std)
    return -(best - mean[0]) * norm.cdf(z) - std * norm.pdf(z), -gradient


def propose(gp, best, rng):
    """Return the best of several local maxima of the expected improvement."""
    starts = np.vstack([rng.uniform(LOWER, UPPER, size=(4, 2)), gp.X[gp.y.argmin()]])
    found = [
        minimize(
            negative_improvement,
            start,
            args=(gp, best),
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(LOWER, UPPER, strict=True)),
        )
        for start in starts
    ]
    return min(found, key=lambda result: result.fun).x


# %%
# Sixteen further trials. The values are put on a scale of order 1; the noise is fixed at almost
# nothing, since the function has none.

rng = np.random.default_rng(0)
kernel = ConstantKernel(1.0) * Matern([3.0, 3.0], length_scale_bounds=(0.5, 50.0), nu=2.5)
for _ in range(16):
    scaled = (y - y.mean()) / y.std()
    gp = gprat.GP(X, scaled, kernel, noise=1e-6, noise_bounds="fixed", mean="constant")
    gp.optimize()
    x = propose(gp, scaled.min(), rng)
    X = np.vstack([X, x])
    y = np.append(y, expensive(x[None]))
print(f"lowest value found: {y.min():.4f} (truth: 0.3979)")

# %%
# The trials gather in the valleys, and the best value falls.

A, B = np.meshgrid(np.linspace(-5, 10, 80), np.linspace(0, 15, 80))
values = expensive(np.column_stack([A.ravel(), B.ravel()])).reshape(A.shape)

figure, (plane, course) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
plane.contourf(A, B, np.log(values), levels=24, cmap="Blues_r")
plane.plot(*X[:8].T, "wo", mec="k", label="first trials")
trial = np.arange(16)
picture = plane.scatter(*X[8:].T, c=trial, cmap="autumn_r", ec="k", label="proposed")
plane.set(xlabel="$x_1$", ylabel="$x_2$")
plane.legend(loc="upper right")
figure.colorbar(picture, ax=plane, label="trial", ticks=[0, 5, 10, 15])
course.semilogy(np.minimum.accumulate(y) - 0.397887, ".-")
course.axvline(7.5, color="k", ls=":", lw=1)
course.set(xlabel="evaluations", ylabel="best value above the minimum")
plt.show()
