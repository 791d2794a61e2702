"""
A model for each station
========================

Two hundred weather stations, and a Gaussian process for each: they are fitted together, in one
call. Then the fitted hyperparameters are data of their own, and say which stations are unlike the
others.
"""

# %%
# Two days of temperatures, measured every 45 minutes. Stations near the coast swing less than those
# inland, and some instruments are worse than others. One station has a broken sensor.

import matplotlib.pyplot as plt
import numpy as np

import gprat
from gprat.kernels import RBF, ConstantKernel

rng = np.random.default_rng(4)
stations = 200
hours = np.linspace(0, 48, 64)[:, None]
from_coast = rng.uniform(0, 1, stations)
swing = 2 + 5 * from_coast
quality = np.where(rng.random(stations) < 0.1, 1.2, 0.3)

day = np.sin(2 * np.pi * (hours[:, 0] - 9) / 24)
weather = np.cumsum(rng.standard_normal((stations, 64)), axis=1) / 12
temperature = 12 + swing[:, None] * day + weather
temperature += quality[:, None] * rng.standard_normal((stations, 64))
temperature[150, 20:30] = np.nan

# %%
# All of them at once. The broken station would be an error; here it is left out instead.

batch = gprat.GPBatch(
    hours,
    temperature,
    ConstantKernel(10.0) * RBF(5.0),
    noise=0.1,
    mean="constant",
    on_failure="nan",
)
report = batch.optimize()
print(report)
print(batch.errors())

# %%
# Six of them, with 95 % bands for measurements. Each band has its own width.

points = np.linspace(0, 60, 200)[:, None]
mean, variance = batch.predict_with_uncertainty(points, include_noise=True)
figure, panels = plt.subplots(2, 3, figsize=(10, 5), layout="constrained", sharex=True, sharey=True)
for axes, station in zip(
    panels.flat, np.argsort(from_coast)[[2, 40, 80, 120, 160, 197]], strict=True
):
    half = 1.96 * np.sqrt(variance[station])
    axes.fill_between(points[:, 0], mean[station] - half, mean[station] + half, alpha=0.25, lw=0)
    axes.plot(points[:, 0], mean[station])
    axes.plot(hours[:, 0], temperature[station], "k.", ms=3)
    axes.axvline(48, color="0.6", lw=0.8, ls=":")
    axes.set(title=f"station {station}, {100 * from_coast[station]:.0f} km from the coast")
for axes in panels[-1]:
    axes.set(xlabel="hour")
panels[0, 0].set(ylabel="°C")
panels[1, 0].set(ylabel="°C")
plt.show()

# %%
# What the models have learned: the swing grows with the distance from the coast, and the noise
# tells good instruments from bad ones.

amplitude = np.sqrt(report.values[:, 0])
noise = np.sqrt(report.values[:, -1])
good = ~report.failed
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
left.plot(100 * from_coast[good], amplitude[good], ".")
left.set(xlabel="km from the coast", ylabel="amplitude (°C)", ylim=(0, None))
right.hist([noise[good & (quality < 1)], noise[good & (quality > 1)]], 30, stacked=True)
right.legend(["good instruments", "bad ones"])
right.set(xlabel="standard deviation of the noise (°C)", ylabel="stations")
plt.show()
