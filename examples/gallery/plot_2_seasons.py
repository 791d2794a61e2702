"""
Seasons and a trend
===================

The carbon dioxide of the air over Mauna Loa rises, and breathes once a year. A kernel that says so
learns both from the record, and forecasts them.
"""

# %%
# One reading in four weeks until 1994 to learn from; the years after it to compare with.

import matplotlib.pyplot as plt
import numpy as np

import gprat
from gprat.datasets import load_co2
from gprat.kernels import RBF, ConstantKernel, Periodic, RationalQuadratic

year, co2 = load_co2()
is_known = year < 1994
t, y = year[is_known][::4] - 1975, co2[is_known][::4]

# %%
# The kernel is a sum: a season of one year whose shape may change over decades, and irregularities
# on all scales. The rise itself is a parabola, whose three coefficients the model estimates:
# ``mean="quadratic"``.

season = (
    ConstantKernel(4.0)
    * RBF(50.0, length_scale_bounds=(10, 1000))
    * Periodic(1.0, periodicity=1.0, periodicity_bounds="fixed")
)
irregularities = ConstantKernel(0.3) * RationalQuadratic(
    length_scale=1.0, alpha=1.0, alpha_bounds=(0.1, 1e3)
)
gp = gprat.GP(t[:, None], y, season + irregularities, noise=0.1, mean="quadratic")
gp.optimize()
print(gp.training_)

# %%
# The forecast, eight years ahead, with a band that should hold 95 % of the readings:

grid = np.arange(1985, 2002, 1 / 26)
mean, variance = gp.predict_with_uncertainty(grid[:, None] - 1975, include_noise=True)
half = 1.96 * np.sqrt(variance)

figure, (whole, zoom) = plt.subplots(
    1, 2, figsize=(10, 4), layout="constrained", width_ratios=(1, 2)
)
for axes in (whole, zoom):
    axes.plot(year[is_known], co2[is_known], "k.", ms=2, label="learned from")
    axes.plot(year[~is_known], co2[~is_known], "C1.", ms=3, label="held out")
    axes.set(xlabel="year")
whole.set(ylabel="CO$_2$ (ppm)")
zoom.plot(grid, mean, "C0", lw=1, label="forecast")
zoom.fill_between(grid, mean - half, mean + half, color="C0", alpha=0.2, lw=0)
zoom.set(xlim=(1985, 2002), ylim=(340, 378))
zoom.legend(loc="lower right", frameon=False)
plt.show()

# %%
# How good is it? Against the readings that were held out:

ahead = year[~is_known, None] - 1975
forecast, variance = gp.predict_with_uncertainty(ahead, include_noise=True)
inside = np.abs(co2[~is_known] - forecast) < 1.96 * np.sqrt(variance)
print(f"inside the band: {inside.mean():.0%}")
print(f"typical error: {np.sqrt(np.mean((co2[~is_known] - forecast) ** 2)):.2f} ppm")

# %%
# A forecast is as good as its assumptions. Here the rise goes on as a parabola; learned until 1990
# only, the same model overshoots, since the rise slowed down for some years after that.
