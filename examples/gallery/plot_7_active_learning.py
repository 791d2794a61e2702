"""
Measure where it helps
======================

Each measurement is expensive, so the next one is made where the model is least certain. Its factor
is updated with ``append``, not computed anew.
"""

# %%
# An unknown curve on a grid of places where we may measure, and three first measurements.

import matplotlib.pyplot as plt
import numpy as np

from gprat import GaussianProcessRegressor
from gprat.kernels import ConstantKernel, Matern

rng = np.random.default_rng(1)
places = np.linspace(0, 10, 201)[:, None]


def truth(x):
    """Return the curve that nobody knows."""
    return np.sin(x) + 0.5 * np.cos(2.3 * x)


def measure(x):
    """Return a noisy measurement at points of shape (m, 1)."""
    return truth(x[:, 0]) + 0.05 * rng.standard_normal(len(x))


first = np.array([[1.0], [5.0], [9.0]])
kernel = ConstantKernel(1.0, "fixed") * Matern(1.5, length_scale_bounds="fixed", nu=2.5)
model = GaussianProcessRegressor(kernel, alpha=0.05**2, optimizer=None)
model = model.fit(first, measure(first))

# %%
# Fifteen more, each at the place with the largest standard deviation. The hyperparameters are left
# alone meanwhile: with so few data they would only jump around.

states = []
for step in range(16):
    mean, std = model.predict(places, return_std=True)
    states.append((len(model.X_train_), mean, std))
    new = places[[std.argmax()]]
    if step < 15:
        model.append(new, measure(new))

# %%
# The band at the start, after five and after fifteen steps:

figure, panels = plt.subplots(1, 3, figsize=(11, 3.3), layout="constrained", sharey=True)
x = places[:, 0]
for axes, step in zip(panels, (0, 5, 15), strict=True):
    n, mean, std = states[step]
    half = 1.96 * std
    axes.fill_between(x, mean - half, mean + half, color="C0", alpha=0.25, lw=0)
    axes.plot(x, mean, "C0")
    axes.plot(x, truth(x), "k:", lw=1)
    axes.plot(model.X_train_[:n], model.y_train_[:n], "k.")
    axes.set(title=f"{n} measurements", xlabel="x")
plt.show()

# %%
# The largest standard deviation, by number of measurements. It falls in leaps, each time a gap is
# filled.

figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
axes.plot([n for n, _, _ in states], [std.max() for _, _, std in states], ".-")
axes.set(xlabel="measurements", ylabel="largest std", ylim=(0, None))
plt.show()
