"""
A change point
==============

A machine runs quietly, then something breaks. When? A kernel that passes from one to another at an
unknown time answers together with everything else.
"""

# %%
# Vibrations: slow and small before the fault, fast and large after it.

import matplotlib.pyplot as plt
import numpy as np

import gprat
from gprat.kernels import RBF, ChangePoint, ConstantKernel

rng = np.random.default_rng(5)
t = np.linspace(0, 10, 250)
FAULT = 6.3
y = np.where(t < FAULT, 0.4 * np.sin(1.5 * t), np.sin(9 * t) * (1 + 0.3 * np.sin(2 * t)))
y += 0.08 * rng.standard_normal(t.size)

# %%
# The location starts in the middle, at 5, and is trained like any other hyperparameter. The loss
# has several optima along it, so there are restarts, which run at the same time.

before = ConstantKernel(1.0) * RBF(2.0)
after = ConstantKernel(1.0) * RBF(0.3)
kernel = ChangePoint(
    before,
    after,
    location=5.0,
    width=0.1,
    location_bounds=(0.5, 9.5),
    width_bounds=(0.02, 1.0),
)
gp = gprat.GP(t[:, None], y, kernel, noise=0.01)
gp.optimize(n_restarts=4, random_state=0)
found = gp.kernel
print(f"fault at {found.location:.2f} s (truth: {FAULT} s)")

# %%
# The loss as a function of the location, everything else as it was learned: a narrow valley. One
# nat above its lowest point a location is less likely by a factor of 2.7.

locations = np.linspace(5.9, 6.7, 81)
position = gp.parameter_names.index("location")
losses = []
for location in locations:
    theta = gp.theta
    theta[position] = location
    losses.append(gp.loss(theta))

figure, (upper, lower) = plt.subplots(
    2, 1, figsize=(8, 5.5), layout="constrained", height_ratios=(3, 2)
)
grid = np.linspace(0, 10, 800)
mean, variance = gp.predict_with_uncertainty(grid[:, None], include_noise=True)
half = 1.96 * np.sqrt(variance)
upper.plot(t, y, "k.", ms=3)
upper.plot(grid, mean, "C0", lw=1)
upper.fill_between(grid, mean - half, mean + half, color="C0", alpha=0.2, lw=0)
upper.set(xlabel="time (s)", ylabel="vibration")
lower.plot(locations, np.array(losses) - min(losses), "C0")
lower.set(xlabel="location (s)", ylabel="loss above the lowest", ylim=(0, 40))
for axes in (upper, lower):
    axes.axvline(found.location, color="C1", lw=1, label="found")
    axes.axvline(FAULT, color="k", ls=":", lw=1, label="truth")
upper.legend(loc="upper left", frameon=False)
plt.show()
