"""
A map with a trend
==================

Kriging: the temperature over a landscape, from stations in the valleys and on the slopes. It falls
with height, and varies from place to place. The model learns both, and maps where it is unsure.
"""

# %%
# Sixty stations. A feature each for east and north, in kilometres, and one for height, in
# kilometres too.

import matplotlib.pyplot as plt
import numpy as np

import gprat
from gprat.kernels import ActiveDims, ConstantKernel, Matern

rng = np.random.default_rng(6)


def height(east, north):
    """Return the height of the ground: two ridges."""
    ridge = np.exp(-((east - 0.4 * north - 25) ** 2) / 150)
    return 0.4 + 1.6 * ridge + 0.8 * np.exp(-((east - 75) ** 2 + (north - 60) ** 2) / 300)


def temperature(east, north):
    """Return the truth: 6.5 degrees less for each kilometre, and some weather."""
    weather = 1.5 * np.sin(east / 14) * np.cos(north / 18)
    return 15 - 6.5 * height(east, north) + weather


east, north = rng.uniform(0, 100, size=(2, 60))
stations = np.column_stack([east, north, height(east, north)])
measured = temperature(east, north) + 0.2 * rng.standard_normal(60)

# %%
# The trend is linear in height alone: two basis functions, each with its own coefficient. What is
# left over varies with the place, for which the kernel looks at the first two columns.

gp = gprat.GP(
    stations,
    measured,
    ConstantKernel(1.0) * ActiveDims(Matern([20.0, 20.0], nu=1.5), [0, 1]),
    noise=0.04,
    mean=[lambda X: np.ones(len(X)), lambda X: X[:, 2]],
)
gp.optimize()
level, lapse = gp.trend_coefficients
uncertainty = np.sqrt(np.diag(gp.trend_covariance))
print(f"{lapse:.2f} ± {uncertainty[1]:.2f} degrees for each kilometre (truth: -6.5)")

# %%
# The map, and its standard deviation. It is smallest at the stations.

axis = np.linspace(0, 100, 70)
E, N = np.meshgrid(axis, axis)
points = np.column_stack([E.ravel(), N.ravel(), height(E, N).ravel()])
mean, variance = gp.predict_with_uncertainty(points)

figure, panels = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained", sharey=True)
truth = temperature(E, N)
limits = {"vmin": truth.min(), "vmax": truth.max(), "cmap": "RdYlBu_r"}
shown = [
    ("truth (°C)", truth, limits),
    ("kriging (°C)", mean.reshape(E.shape), limits),
    ("standard deviation (°C)", np.sqrt(variance).reshape(E.shape), {"cmap": "viridis"}),
]
for axes, (title, values, style) in zip(panels, shown, strict=True):
    picture = axes.pcolormesh(E, N, values, shading="gouraud", **style)
    axes.plot(east, north, "k.", ms=4)
    axes.set(title=title, xlabel="east (km)", aspect="equal", xlim=(0, 100), ylim=(0, 100))
    figure.colorbar(picture, ax=axes, shrink=0.75)
panels[0].set(ylabel="north (km)")
plt.show()

# %%
# What would the temperature be if the land were flat, one kilometre high? Two features are drawn,
# the third is held there. The dots have the colour of what was measured, at the stations' own
# heights: dark ones lie on the ridges.

for axes in gprat.plotting.plot_2d(gp, at={2: 1.0}):
    axes.set(xlabel="east (km)", ylabel="north (km)")
plt.show()
