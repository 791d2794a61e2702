"""Models of BoTorch and of ours with the same data and hyperparameters."""

import numpy as np
import torch
from botorch.models import SingleTaskGP
from gpytorch.kernels import MaternKernel, RBFKernel, ScaleKernel
from gpytorch.means import ConstantMean

from gprat.botorch import GPratModel
from gprat.kernels import RBF, ConstantKernel, Matern
from gprat.means import FixedLinear

N, D = 30, 3
SCALES = [0.4, 0.9, 1.7]
VARIANCE = 1.3
NOISE = 3e-3
MEAN = 0.2


def make_data(rng, n=N, k=1, dtype=torch.float64):
    """Points in the unit cube, and smooth functions of them with some noise."""
    X = rng.random((n, D))
    slopes = rng.standard_normal((D, k))
    Y = 5.0 + 3.0 * (np.sin(3.0 * X @ slopes) + 0.05 * rng.standard_normal((n, k)))
    return torch.tensor(X, dtype=dtype), torch.tensor(Y, dtype=dtype)


def make_ours(X, Y, Yvar=None, *, kernel="RBF", **options):
    """Our model with the hyperparameters above."""
    ours = RBF(SCALES) if kernel == "RBF" else ConstantKernel(VARIANCE) * Matern(SCALES, nu=2.5)
    noise = NOISE if Yvar is None else None
    return GPratModel(X, Y, Yvar, kernel=ours, noise=noise, mean=FixedLinear(MEAN), **options)


def make_theirs(X, Y, Yvar=None, *, kernel="RBF", **options):
    """BoTorch's, with the same; as tensors, since plain numbers would become float32."""
    theirs = RBFKernel(ard_num_dims=D)
    if kernel != "RBF":
        theirs = ScaleKernel(MaternKernel(2.5, ard_num_dims=D)).to(X)
        theirs.outputscale = X.new_tensor(VARIANCE)
    leaf = theirs if kernel == "RBF" else theirs.base_kernel
    leaf.to(X).lengthscale = X.new_tensor(SCALES)
    mean = ConstantMean().to(X)
    mean.constant = X.new_tensor(MEAN)
    model = SingleTaskGP(X, Y, Yvar, covar_module=theirs, mean_module=mean, **options)
    if Yvar is None:
        model.likelihood.noise = X.new_tensor(NOISE)
    return model.eval()


def make_pair(X, Y, Yvar=None, *, kernel="RBF", transforms=dict):
    """Both; `transforms` makes each its own."""
    return (
        make_ours(X, Y, Yvar, kernel=kernel, **transforms()),
        make_theirs(X, Y, Yvar, kernel=kernel, **transforms()),
    )
