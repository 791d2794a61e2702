"""
Which inputs matter
===================

A length scale for each feature tells how quickly the function changes along it. A long one means
that the feature hardly matters. Here it finds out how long a mechanical system remembers.
"""

# %%
# A chain of two carts is pushed at one end. We predict the position of the last cart from the force
# now and at the nine samples before: ten features.

import matplotlib.pyplot as plt
import numpy as np

import gprat
from gprat.datasets import mass_spring_damper, nfir
from gprat.kernels import RBF, ConstantKernel

LAGS = 10
force, position = mass_spring_damper(500 + LAGS - 1, n_carts=2, random_state=1)
X, y = nfir(force / force.std(), (position - position.mean()) / position.std(), LAGS)

# %%
# One length scale for each. Priors are not needed; the bounds are wide.

kernel = ConstantKernel(1.0) * RBF(np.full(LAGS, 5.0), length_scale_bounds=(0.1, 1e4))
gp = gprat.GP(X, y, kernel, noise=0.01)
gp.optimize()
print(gp.training_)

# %%
# The inverse of the length scale is a measure of relevance. The last second decides; what happened
# two seconds ago is forgotten.

length_scales = gp.kernel.k2.length_scale
figure, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
axes.bar(0.35 * np.arange(LAGS), 1 / length_scales, width=0.28, color="C0")
axes.set(xlabel="age of the force (s)", ylabel="1 / length scale")
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# How training went. Hyperparameters that don't matter converge slowly and end anywhere, which
# harms nobody.

gprat.plotting.plot_training(gp.training_)
plt.show()
