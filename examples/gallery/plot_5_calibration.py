"""
Are the error bars right?
=========================

A model may predict well and still be wrong about its uncertainty. Leave-one-out tells, from the
training data alone: here a model with the right noise, and one that believes in too little of it.
"""

# %%
# Three hundred noisy values of a smooth surface.

import matplotlib.pyplot as plt
import numpy as np

import gprat
from gprat.kernels import RBF, ConstantKernel

rng = np.random.default_rng(2)
X = rng.uniform(-3, 3, size=(300, 2))
y = np.sin(X[:, 0]) * np.cos(X[:, 1]) + 0.3 * rng.standard_normal(300)

# %%
# The first model learns kernel and noise. The second has the same kernel, but believes in a noise
# variance that is nine times too small.

honest = gprat.GP(X, y, ConstantKernel(1.0) * RBF([1.0, 1.0]), noise=0.1)
honest.optimize()
overconfident = gprat.GP(X, y, honest.kernel, noise=0.01)

print(gprat.diagnose(honest))
print(gprat.diagnose(overconfident))

# %%
# Standardised residuals of an honest model have a standard deviation of 1, and a 95 % interval
# holds 95 % of the targets. The pictures of the honest model:

gprat.plotting.plot_diagnostics(honest)
plt.show()

# %%
# And of the other one, whose intervals are too narrow:

gprat.plotting.plot_diagnostics(overconfident)
plt.show()
