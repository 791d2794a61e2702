"""Sample a model's hyperparameters by NUTS, and see what their uncertainty adds to predictions.

Needs the extra ``jax``, NumPyro and matplotlib. Run with ``python examples/jax/nuts.py``, or see
``--help``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS

import gprat
from gprat.jax import log_marginal_likelihood, posterior
from gprat.kernels import RBF, ConstantKernel

jax.config.update("jax_enable_x64", True)

KERNEL = ConstantKernel(1.0) * RBF(1.0)
PRIORS = {
    "variance": dist.LogNormal(0.0, 1.0),
    "length scale": dist.LogNormal(0.0, 1.0),
    "noise variance": dist.LogNormal(-3.0, 1.5),
}
GRID = np.linspace(-1.0, 11.0, 200).reshape(-1, 1)
NORMAL_95 = 1.96

INK, BLUE, ORANGE = "#222222", "#1f6fb4", "#d1603d"
STYLE = {
    "figure.dpi": 150,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.titlelocation": "left",
    "legend.frameon": False,
}


def measure() -> tuple[np.ndarray, np.ndarray]:
    """Return a dozen noisy measurements, none of them between 5 and 8."""
    rng = np.random.default_rng(4)
    X = np.sort(np.concatenate([rng.uniform(0, 5, 9), rng.uniform(8, 10, 3)]))[:, np.newaxis]
    return X, np.sin(X[:, 0]) + 0.2 * rng.standard_normal(len(X))


def theta_of(draw: dict[str, jax.Array]) -> jax.Array:
    """Return the kernel's hyperparameters as gprat takes them: logarithms."""
    return jnp.log(jnp.stack([draw["variance"], draw["length scale"]]))


def model(X: np.ndarray, y: np.ndarray) -> None:
    """Tell NumPyro of the priors, and of the likelihood, which gprat computes."""
    draw = {name: numpyro.sample(name, prior) for name, prior in PRIORS.items()}
    likelihood = log_marginal_likelihood(
        X,
        y,
        KERNEL,
        theta_of(draw),
        draw["noise variance"],
        on_failure="nan",  # the sampler rejects such hyperparameters
    )
    numpyro.factor("likelihood", likelihood)


def sample(
    X: np.ndarray, y: np.ndarray, n_warmup: int, n_samples: int
) -> tuple[dict[str, jax.Array], int, int]:
    """Return draws of the hyperparameters; how many gradients they took, and divergences."""
    sampler = MCMC(NUTS(model), num_warmup=n_warmup, num_samples=n_samples, progress_bar=False)
    sampler.run(jax.random.PRNGKey(0), X, y, extra_fields=("num_steps", "diverging"))
    fields = sampler.get_extra_fields()
    return sampler.get_samples(), int(fields["num_steps"].sum()), int(fields["diverging"].sum())


@jax.jit
def predict(draws: dict[str, jax.Array], X: np.ndarray, y: np.ndarray) -> tuple[jax.Array, ...]:
    """Return mean and standard deviation of the function on the grid, over all draws."""

    def predict_one(draw: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        found = posterior(X, y, GRID, KERNEL, theta_of(draw), draw["noise variance"])
        return found.mean, found.variance

    means, variances = jax.lax.map(predict_one, draws)
    # The law of total variance.
    return means.mean(axis=0), jnp.sqrt(variances.mean(axis=0) + means.var(axis=0))


def fit(X: np.ndarray, y: np.ndarray) -> gprat.GP:
    """Return the model with the most likely hyperparameters, and no doubt about them."""
    gp = gprat.GP(X, y, KERNEL, noise=0.1)
    gp.optimize(n_restarts=3, random_state=0)
    return gp


def draw_densities(
    panels: np.ndarray, draws: dict[str, jax.Array], fitted: dict[str, float]
) -> None:
    """Draw the densities of the hyperparameters before and after the data, on log scales."""
    for axes, (name, prior) in zip(panels, PRIORS.items(), strict=True):
        logarithms = np.log10(np.asarray(draws[name]))
        low, high = np.quantile(logarithms, [0.002, 0.998])
        axis = np.linspace(low - 0.3, high + 0.3, 200)
        values = 10.0**axis
        # Densities of the logarithm to base 10.
        before = np.exp(np.asarray(prior.log_prob(values))) * values * np.log(10.0)
        inside = (axis[0], axis[-1])
        style = {"color": BLUE, "alpha": 0.35, "label": "samples"}
        axes.hist(logarithms, bins=30, range=inside, density=True, **style)
        axes.plot(axis, before, color="#888888", lw=1.2, ls="--", label="prior")
        mark_fitted(axes, fitted[name], axis[0])
        axes.set(xlim=inside, yticks=[], xlabel=f"log$_{{10}}$ {name}")
        axes.spines["left"].set_visible(False)
    panels[0].set_title("What the data say about the hyperparameters")
    panels[0].legend(loc="upper right")


def mark_fitted(axes: plt.Axes, value: float, left_end: float) -> None:
    """Draw a line at the most likely value, or say what it is where that is far to the left."""
    if np.log10(value) >= left_end:
        axes.axvline(np.log10(value), color=ORANGE, lw=1.5, label="most likely")
        return
    text = f"← {value:.0e}"
    axes.text(0.0, 0.95, text, color=ORANGE, transform=axes.transAxes, va="top")


def draw_bands(
    axes: plt.Axes,
    data: tuple[np.ndarray, np.ndarray],
    bands: dict[str, tuple[np.ndarray, np.ndarray]],
) -> None:
    """Draw predictions with and without the uncertainty of the hyperparameters."""
    x = GRID[:, 0]
    for (label, (mean, deviation)), colour in zip(bands.items(), (BLUE, ORANGE), strict=True):
        axes.plot(x, mean, color=colour, lw=1.2)
        lower, upper = mean - NORMAL_95 * deviation, mean + NORMAL_95 * deviation
        axes.fill_between(x, lower, upper, color=colour, alpha=0.2, lw=0, label=label)
    axes.plot(x, np.sin(x), color=INK, lw=0.9, ls=":", label="truth")
    axes.plot(data[0][:, 0], data[1], ".", color=INK, ms=6, label="measurements")
    axes.set(title="Predictions of the function, 95 % bands", xlabel="x", xlim=(x[0], x[-1]))
    axes.legend(loc="upper left", ncols=4)
    axes.margins(y=0.25)


def main(arguments: list[str] | None = None) -> None:
    """Sample, predict, and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer samples, to try it")
    parser.add_argument("--output", type=Path, default=Path("nuts.png"), help="the picture's file")
    options = parser.parse_args(arguments)
    n_warmup, n_samples = (50, 60) if options.quick else (500, 2000)

    X, y = measure()
    draws, n_gradients, n_divergent = sample(X, y, n_warmup, n_samples)
    gp = fit(X, y)
    fitted = dict(zip(PRIORS, np.exp(gp.theta), strict=True))
    mean, variance = gp.predict_with_uncertainty(GRID)
    bands = {
        "hyperparameters sampled": tuple(map(np.asarray, predict(draws, X, y))),
        "most likely hyperparameters": (mean, np.sqrt(variance)),
    }
    print(f"{n_samples} samples by {n_gradients} gradients, {n_divergent} divergences")
    for name, values in draws.items():
        low, middle, high = np.quantile(np.asarray(values), [0.025, 0.5, 0.975])
        print(f"{name}: {middle:.3g} ({low:.3g} to {high:.3g}); most likely {fitted[name]:.3g}")

    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(9, 6.4), layout="constrained")
        grid = figure.add_gridspec(2, 3, height_ratios=[1, 1.5])
        draw_densities(np.array([figure.add_subplot(grid[0, i]) for i in range(3)]), draws, fitted)
        draw_bands(figure.add_subplot(grid[1, :]), (X, y), bands)
        figure.savefig(options.output)
        plt.close(figure)


if __name__ == "__main__":
    main()
