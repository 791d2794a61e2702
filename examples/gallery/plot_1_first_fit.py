"""
A first fit
===========

A curve is learned from 45 noisy values. The model says what it doesn't know: between the values
a little, outside of them a lot.
"""

# %%
# A wave, measured at random places with a standard deviation of 0.2, and not at all between 5
# and 7.

import matplotlib.pyplot as plt
import numpy as np

import gprat
from gprat.kernels import RBF, ConstantKernel

rng = np.random.default_rng(3)
x = np.concatenate([rng.uniform(0, 5, size=30), rng.uniform(7, 10, size=15)])
y = np.sin(x) + 0.2 * rng.standard_normal(x.size)

# %%
# The model starts from a variance, a length scale and a noise variance of which only the order of
# magnitude matters. Training finds better ones.

gp = gprat.GP(x[:, None], y, ConstantKernel(1.0) * RBF(1.0), noise=0.1)
gp.optimize()
print(gp.training_)

# %%
# The mean, central intervals that hold the curve with a probability of 50 % and 95 % at each place,
# and some curves drawn at random from all that the data allow:

grid = np.linspace(-2, 13, 400)
axes = gprat.plotting.plot_1d(gp, X=grid, show_samples=5)
plt.show()

# %%
# The curve is one thing, the next measurement another. The outer band, ``include_noise=True``,
# holds the next measurement with a probability of 95 %; the inner one holds the curve.

mean, of_curve = gp.predict_with_uncertainty(grid[:, None])
_, of_measurement = gp.predict_with_uncertainty(grid[:, None], include_noise=True)

figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
for variance, alpha, label in [
    (of_measurement, 0.15, "measurement"),
    (of_curve, 0.3, "curve"),
]:
    half = 1.96 * np.sqrt(variance)
    axes.fill_between(grid, mean - half, mean + half, color="C0", alpha=alpha, label=label)
axes.plot(grid, mean, color="C0", label="mean")
axes.plot(grid, np.sin(grid), "k:", lw=1, label="truth")
axes.plot(x, y, "k.", label="data")
axes.set(xlabel="x", ylabel="y", xlim=(-2, 13))
axes.legend(ncols=5, loc="upper center", bbox_to_anchor=(0.5, 1.13), frameon=False)
plt.show()
