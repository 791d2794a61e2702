"""What a model of BoTorch refuses, and what it says."""

import subprocess
import sys

import pytest
import torch
from botorch.models.transforms import Warp

from for_botorch.pairs import D, N, make_data, make_ours
from gprat.botorch import GPratModel
from gprat.exceptions import InvalidInputError, UnsupportedTypeError


def nan_at_one(tensor):
    tensor = tensor.clone()
    tensor[1, 0] = torch.nan
    return tensor


TRAINING = {
    "no tensor": (lambda X, Y: (X.numpy(), Y), UnsupportedTypeError, "train_X must be a torch"),
    "no column": (lambda X, Y: (X, Y[:, 0]), InvalidInputError, r"train_Y\.unsqueeze\(-1\)"),
    "fewer targets": (lambda X, Y: (X, Y[1:]), InvalidInputError, rf"shape \({N}, k\)"),
    "no outputs": (lambda X, Y: (X, Y[:, :0]), InvalidInputError, rf"shape \({N}, k\)"),
    "batch": (lambda X, Y: (X[None], Y[None]), InvalidInputError, "ModelList"),
    "other dtype": (lambda X, Y: (X, Y.float()), UnsupportedTypeError, "torch.float32"),
    "integers": (lambda X, Y: (X.long(), Y), UnsupportedTypeError, "torch.int64"),
    "sparse": (lambda X, Y: (X.to_sparse(), Y), UnsupportedTypeError, "sparse"),
    "elsewhere": (lambda X, Y: (X.to("meta"), Y), UnsupportedTypeError, "device meta"),
    "NaN in X": (lambda X, Y: (nan_at_one(X), Y), InvalidInputError, "train_X.*nan.*1, 0"),
    "NaN in Y": (lambda X, Y: (X, nan_at_one(Y)), InvalidInputError, "train_Y.*nan.*1, 0"),
    "gradient": (lambda X, Y: (X.requires_grad_(), Y), InvalidInputError, r"train_X\.detach\(\)"),
    "Yvar's shape": (lambda X, Y: (X, Y, Y[:3]), InvalidInputError, "shape of train_Y"),
    "Yvar by output": (
        lambda X, Y: (X, Y.repeat(1, 2), torch.rand(N, 2).double()),
        InvalidInputError,
        "same variance for all outputs",
    ),
}


@pytest.mark.parametrize("name", TRAINING)
def test_training_data_that_make_no_sense(rng, name):
    make, error, message = TRAINING[name]
    with pytest.raises(error, match=message):
        GPratModel(*make(*make_data(rng)))


def test_two_kinds_of_noise(rng):
    X, Y = make_data(rng)
    with pytest.raises(InvalidInputError, match="Pass one of them"):
        GPratModel(X, Y, torch.ones_like(Y), noise=0.1)


def test_transforms_with_parameters_to_learn(rng):
    X, Y = make_data(rng)
    warp = Warp(D, indices=list(range(D)))
    with pytest.raises(InvalidInputError, match="Warp has parameters to learn"):
        GPratModel(X, Y, input_transform=warp)
    model = GPratModel(X, Y, input_transform=warp.requires_grad_(False))
    assert model.posterior(X[:2]).mean.shape == (2, 1)


POINTS = {
    "features": (torch.zeros(2, D + 1).double(), InvalidInputError, rf"\(\.\.\., q, {D}\)"),
    "a vector": (torch.zeros(D).double(), InvalidInputError, r"unsqueeze\(0\)"),
    "dtype": (torch.zeros(2, D), UnsupportedTypeError, "model.*float64"),
    "NaN": (torch.full((2, D), torch.nan).double(), InvalidInputError, "finite"),
    "no tensor": ([[0.0] * D], UnsupportedTypeError, "torch.Tensor"),
}


@pytest.mark.parametrize("name", POINTS)
def test_points_that_make_no_sense(rng, name):
    points, error, message = POINTS[name]
    with pytest.raises(error, match=message):
        make_ours(*make_data(rng)).posterior(points)


def test_batches_that_do_not_fit(rng):
    X, Y = make_data(rng)
    model = make_ours(X, Y).condition_on_observations(X[None, :2], Y[None, :2].repeat(3, 1, 1))
    with pytest.raises(InvalidInputError, match=r"batch.*\(2,\).*\(3,\)"):
        model.posterior(torch.zeros(2, 1, D).double())


def test_observations_that_make_no_sense(rng):
    X, Y = make_data(rng)
    model = make_ours(X, Y)
    with pytest.raises(InvalidInputError, match=r"shape \(\.\.\., 2, 1\)"):
        model.condition_on_observations(X[:2], Y[:3])
    with pytest.raises(InvalidInputError, match="not negative"):
        model.condition_on_observations(X[:2], Y[:2], noise=-torch.ones(2, 1).double())


@pytest.mark.parametrize("outputs", [[], [2], [-3]], ids=str)
def test_outputs_that_are_not_there(rng, outputs):
    model = make_ours(*make_data(rng, k=2))
    with pytest.raises(InvalidInputError, match="some of the 2"):
        model.posterior(torch.zeros(1, D).double(), output_indices=outputs)
    with pytest.raises(InvalidInputError, match="some of the 2"):
        model.subset_output(outputs)


def test_without_botorch_the_extra_is_named():
    program = "import sys; sys.modules['botorch'] = None; import gprat.botorch"
    completed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert completed.returncode != 0
    assert "pip install 'gprat[botorch]'" in completed.stderr
