"""A model's life: after any sequence of calls it is what a model made afresh would be."""

import copy
import pickle
import tempfile
import warnings
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from numpy.testing import assert_allclose, assert_array_equal

import gprat
from fuzz.journal import note
from fuzz.strategies_arrays import tables
from fuzz.strategies_models import recipes
from gprat import GP
from gprat.exceptions import (
    GpratError,
    InvalidInputError,
    JitterWarning,
    NotPositiveDefiniteError,
    RankDeficientTrendError,
    UnsupportedKernelError,
)


@st.composite
def many_rows(draw):
    """Models of several tiles a side, whose points are scattered by a seed."""
    recipe = draw(recipes(most=3, kinds=("scalar", "known")))
    n, d = draw(st.integers(20, 120)), recipe.X.shape[1]
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    recipe.arguments["tile_size"] = draw(st.integers(5, 40))
    shape = (n, *recipe.y.shape[1:])
    X, y = rng.normal(size=(n, d)), rng.normal(size=shape)
    recipe.X, recipe.y = (
        np.asarray(values, dtype=recipe.arguments["dtype"]).astype(np.float64) for values in (X, y)
    )
    return recipe


class Life(RuleBasedStateMachine):
    """A model, and the data and noise that it should have by now."""

    @initialize(recipe=st.one_of(recipes(most=6), many_rows()))
    def be_born(self, recipe):
        self.recipe, arguments = recipe, recipe.arguments
        self._note("be born")
        self.gp = recipe.model()
        self.X, self.Y = recipe.X.copy(), recipe.y.reshape(len(recipe.X), -1).copy()
        self.groups = list(arguments.get("noise_groups", []))
        self.by_row = {
            name: np.array(arguments[name], dtype=np.float64)
            for name in ("noise", "known_noise")
            if np.ndim(arguments.get(name, 0.0)) == 1 and not (name == "noise" and self.groups)
        }

    def _note(self, what):
        note("life", (self.recipe, what))

    def _afresh(self):
        """A new model of the same rows at the same hyperparameters."""
        arguments = {**self.recipe.arguments, **self.by_row, "kernel": self.gp.kernel}
        if self.groups:
            # A label whose rows are all gone keeps its variance.
            variances = dict(
                zip(self._labels(), np.atleast_1d(self.gp.noise_variance), strict=True)
            )
            arguments["noise_groups"] = self.groups
            arguments["noise"] = [variances[label] for label in sorted(set(self.groups))]
        elif "noise" not in self.by_row:
            arguments["noise"] = self.gp.noise_variance
        return GP(self.X, self.gp.y[:], **arguments)

    def _labels(self):
        return sorted(set(self.recipe.arguments["noise_groups"]))

    @rule(data=st.data(), m=st.integers(0, 4))
    def append(self, data, m):
        if len(self.X) > 10:
            m *= data.draw(st.integers(1, 20))
        rows = (self._rows(data, m, old.shape[1]) for old in (self.X, self.Y))
        X, Y = (table.astype(self.gp.dtype).astype(np.float64) for table in rows)
        more = {name: np.linspace(0.1, 0.5, m) for name in self.by_row}
        groups = (
            [data.draw(st.sampled_from(self._labels())) for _ in range(m)] if self.groups else []
        )
        self._note(("append", X, Y, groups))
        given = {**more, "noise_groups": groups} if self.groups else more
        before = self.gp.predict(self.X) if self._is_sound() else None
        try:
            self.gp.append(X, Y[:, 0] if self.gp.y.ndim == 1 else Y, **given)
        except (NotPositiveDefiniteError, RankDeficientTrendError):
            # The model stays as it was, to the last bit.
            if before is not None:
                assert_array_equal(self.gp.predict(self.X), before)
            return
        self.X, self.Y = np.concatenate([self.X, X]), np.concatenate([self.Y, Y])
        self.groups += groups
        for name, values in more.items():
            self.by_row[name] = np.concatenate([self.by_row[name], values])

    def _rows(self, data, m, width):
        if m < 5:
            return data.draw(tables(m, width))
        return np.random.default_rng(data.draw(st.integers(0, 2**16))).normal(size=(m, width))

    @rule(data=st.data())
    def delete(self, data):
        n = len(self.X)
        rows = data.draw(st.lists(st.integers(-n, n - 1), max_size=n))
        self._note(("delete", rows))
        kept = np.delete(np.arange(n), np.array(rows, dtype=int))
        q = self.recipe.basis(self.X).shape[1]
        try:
            self.gp.delete(rows)
        except InvalidInputError:
            assert len(kept) < max(1, q)
            return
        except (NotPositiveDefiniteError, RankDeficientTrendError):
            return
        self.X, self.Y = self.X[kept], self.Y[kept]
        self.groups = [self.groups[i] for i in kept] if self.groups else []
        self.by_row = {name: values[kept] for name, values in self.by_row.items()}

    @rule(data=st.data())
    def set_theta(self, data):
        moves = data.draw(st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=8))
        self._note(("theta", moves))
        theta = self.gp.theta + np.resize(moves, self.gp.theta.shape)
        if np.abs(theta).max(initial=0.0) < 3.0:
            self.gp.theta = theta
            assert_allclose(self.gp.theta, theta, rtol=1e-13, atol=1e-13)

    @precondition(lambda self: not self.groups and "noise" not in self.by_row)
    @rule(noise=st.floats(0.0625, 1.0, width=32))
    def set_noise(self, noise):
        self._note(("noise", noise))
        self.gp.noise_variance = noise
        assert self.gp.noise_variance == noise

    @rule(steps=st.integers(1, 2))
    def learn(self, steps):
        self._note(("learn", steps))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                start, before = self.gp.theta, self.gp.loss()
                result = self.gp.optimize(max_iter=steps)
            except GpratError:
                return
        low, high = self.gp.bounds.T
        assert ((low - 1e-9 <= self.gp.theta) & (self.gp.theta <= high + 1e-9)).all()
        if not ((low <= start) & (start <= high)).all():
            return  # training starts from the nearest point within the bounds
        unit = np.finfo(self.gp.dtype).eps
        assert result.fun <= before + 1e3 * unit * (1 + abs(before)) or not self._is_sound()

    @rule(how=st.sampled_from(["copy", "deepcopy", "pickle", "file", "file with factor"]))
    def move(self, how):
        self._note(how)
        before = self._predictions(self.gp)
        try:
            self.gp = self._moved(how)
        except UnsupportedKernelError:
            assert how.startswith("file")
            return
        except (NotPositiveDefiniteError, RankDeficientTrendError):
            assert how == "file with factor"
            return
        after = self._predictions(self.gp)
        if how == "file with factor" or before is None or after is None:
            return
        if np.array_equal(before[0], after[0]):
            return
        # A factor that was updated is exact for other roundings than one computed afresh.
        self._compare(before, after, self.gp)

    def _moved(self, how):
        if how == "copy":
            return copy.copy(self.gp)
        if how == "deepcopy":
            return copy.deepcopy(self.gp)
        if how == "pickle":
            return pickle.loads(pickle.dumps(self.gp))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.gprat"
            self.gp.save(path, include_factor=how == "file with factor")
            return gprat.load(path)

    @rule(data=st.data())
    def compare(self, data):
        self._note("compare")
        fresh = self._afresh()
        assert_array_equal(self.gp.X, fresh.X)
        assert_array_equal(self.gp.y, fresh.y)
        assert self.gp.parameter_names == fresh.parameter_names or self.groups
        old, new = self._predictions(self.gp), self._predictions(fresh)
        if old is not None and new is not None:
            self._compare(old, new, fresh)

    @rule(count=st.integers(1, 3), source=st.sampled_from(["posterior", "prior"]))
    def sample(self, count, source):
        self._note("sample")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", JitterWarning)
            try:
                samples = self.gp.sample(self.X, count, random_state=0, source=source)
            except GpratError:
                return
        assert samples.shape == (*self.gp.y.shape, count)
        assert np.isfinite(samples).all()

    def _is_sound(self):
        try:
            return self.gp.condition_number() < 1e-3 / np.finfo(self.gp.dtype).eps
        except GpratError:
            return False

    def _predictions(self, gp):
        points = np.concatenate([self.X, self.X[:1] + 0.5])
        try:
            return *gp.predict_with_uncertainty(points), np.array(gp.log_marginal_likelihood())
        except (NotPositiveDefiniteError, RankDeficientTrendError):
            return None

    def _compare(self, old, new, gp):
        """As equal as the condition of the matrix and of the trend lets them be."""
        condition = (
            gp.condition_number() * np.linalg.cond(_with_ones(self.recipe.basis(self.X))) ** 2
        )
        error = 50 * len(self.X) * condition * np.finfo(gp.dtype).eps
        if error > 1e-2:
            return
        prior = float(gp.kernel.diag(np.concatenate([self.X, self.X[:1] + 0.5])).max())
        size = 1.0 + np.abs(self.Y).max() * (1.0 + prior)
        for name, a, b, scale in zip(
            ("mean", "variance", "likelihood"),
            old,
            new,
            (size, prior, len(self.X) * size**2 / float(np.min(self.recipe.noise))),
            strict=True,
        ):
            assert_allclose(a, b, rtol=error, atol=error * scale, err_msg=name)


def _with_ones(H):
    return H if H.shape[1] else np.ones((len(H), 1))


TestLife = Life.TestCase
TestLife.settings = settings(stateful_step_count=12)
