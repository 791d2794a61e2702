"""Likelihoods and predictions as functions to differentiate: for authors of other frameworks.

Arrays go in and come out; derivatives flow back from results to all that they were computed from:
training inputs, targets, hyperparameters, noise, coefficients of the mean, and test inputs. Nothing
here knows of a framework. A function of PyTorch, JAX or any other that differentiates in reverse
mode calls `Regression.log_marginal_likelihood`, or `Regression.condition`, `Conditioned.predict` on
the way forward and `Conditioned.pull_back` on the way back. The formulas stand in the page
"Theory".

Examples
--------
The change of a variance, as it follows from those of the test point and of the noise:

>>> import numpy as np
>>> from gprat.differentiation import Regression, Wanted
>>> from gprat.kernels import RBF
>>> X, y = np.array([[0.0], [1.0]]), np.array([1.0, 2.0])
>>> conditioned = Regression(RBF(1.0)).condition(X, y, noise=0.5)
>>> mean, variance = conditioned.predict(np.array([[0.2]]), joint=False)
>>> gradients = conditioned.pull_back(
...     np.array([[0.2]]), None, np.array([1.0]), Wanted.XS | Wanted.NOISE, joint=False
... )
>>> gradients.Xs.shape, gradients.noise.shape, gradients.theta is None
((1, 1), (), True)
"""

from gprat.differentiation.conditioned import Conditioned
from gprat.differentiation.gradients import Gradients, Wanted
from gprat.differentiation.regression import Regression

__all__ = ["Conditioned", "Gradients", "Regression", "Wanted"]
