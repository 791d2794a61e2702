"""What is interrupted: operations of models, and what must be true of the model afterwards.

Run as a program it is the process that is interrupted: it takes names of cases from standard input.
"""

from __future__ import annotations

import copy
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import gprat
from gprat.calibration import calibrate
from gprat.kernels import RBF, ConstantKernel

__all__ = ["CASES", "Workshop"]

# Seconds that a case waits for a Ctrl-C that is still on its way.
_PATIENCE = 5.0

_KERNEL = ConstantKernel(1.0) * RBF([1.0, 1.0])


def same(one: Any, other: Any) -> bool:
    """Tell whether two results, or tuples of them, agree in every bit."""
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return np.asarray(one).tobytes() == np.asarray(other).tobytes()


class Workshop:
    """Data, models, and the cases.

    Parameters
    ----------
    n : int, default=1500
        Training points.
    """

    def __init__(self, n: int = 1500) -> None:
        rng = np.random.default_rng(0)
        self.X = rng.uniform(-3.0, 3.0, size=(n + 100, 2))
        self.y = np.sin(self.X[:, 0]) * np.cos(self.X[:, 1]) + 0.1 * rng.standard_normal(n + 100)
        self.n = n
        self.points = rng.uniform(-3.0, 3.0, size=(n, 2))
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self._expected = {name: self._reference(name) for name in CASES}
        self._taken = {name: self._time(name) for name in CASES}

    def gp(self) -> gprat.GP:
        """Return a new model."""
        return gprat.GP(self.X[: self.n], self.y[: self.n], _KERNEL, 0.1, tile_size=64)

    def trial(self, name: str) -> str:
        """Run a case, be interrupted, and say how it went."""
        run, check = CASES[name](self)
        finished = False
        try:
            print("@begin", flush=True)
            run()
            finished = True
            time.sleep(_PATIENCE)
            return "lost"
        except KeyboardInterrupt:
            pass
        wrong = check(finished, self._expected[name])
        if wrong:
            return f"wrong: {wrong}"
        return "finished" if finished else "interrupted"

    def seconds(self) -> dict[str, float]:
        """Return how long each case takes."""
        return self._taken

    def _time(self, name: str) -> float:
        run, check = CASES[name](self)
        began = time.perf_counter()
        run()
        taken = time.perf_counter() - began
        check(True, self._expected[name])
        return taken

    def _reference(self, name: str) -> Any:
        """Return what `check` says that is right when a case finishes."""
        run, check = CASES[name](self)
        run()
        reference: list[Any] = []
        check(True, reference)
        return reference[0]


# Of a case: run it; and check it, told whether it finished and what is right. Told an empty list
# instead, the check puts what is right into it.
Case = Callable[[Workshop], "tuple[Callable[[], Any], Callable[[bool, Any], str]]"]


def compare(found: Any, expected: Any, what: str) -> str:
    """Return nothing if they are the same, or what is wrong."""
    if isinstance(expected, list) and not expected:
        expected.append(found)
        return ""
    return "" if same(found, expected) else what


def fit(shop: Workshop) -> Any:
    """Fit an estimator; fitted again, it is as if nothing had happened."""
    model = gprat.GaussianProcessRegressor(_KERNEL, noise=0.1, tile_size=64)
    X, y = shop.X[:200], shop.y[:200]

    def check(finished: bool, expected: Any) -> str:
        if finished and not same(model.predict(X), model.predict(X)):
            return "two predictions differ"
        return compare(model.fit(X, y).predict(X, return_std=True), expected, "the second fit")

    return lambda: model.fit(X, y), check


def optimise(shop: Workshop) -> Any:
    """Train from two starts; what was reached is a whole model."""
    gp = shop.gp()

    def check(finished: bool, expected: Any) -> str:
        fresh = shop.gp()
        fresh.theta = gp.theta
        if not same(gp.predict(shop.points), fresh.predict(shop.points)):
            return "the model is not that of its theta"
        if gp.loss() > shop.gp().loss():
            return "the loss rose"
        return compare(gp.theta, expected, "theta") if finished else ""

    return lambda: gp.optimize(n_restarts=1, random_state=0, max_iter=5), check


def asking(ask: Callable[[gprat.GP, Workshop], Any]) -> Case:
    """Return the case of a question, which asked again has the right answer."""

    def case(shop: Workshop) -> Any:
        gp = shop.gp()

        def check(finished: bool, expected: Any) -> str:
            return compare(ask(gp, shop), expected, "the second answer")

        return lambda: ask(gp, shop), check

    return case


def changing(change: Callable[[gprat.GP, Workshop], Any]) -> Case:
    """Return the case of a change of rows: all of it happened, or nothing."""

    def case(shop: Workshop) -> Any:
        gp = shop.gp()
        before = gp.predict(shop.points)

        def check(finished: bool, expected: Any) -> str:
            after = gp.predict(shop.points)
            if not finished and len(gp.X) == shop.n:
                if not same(after, before):
                    return "old rows, other predictions"
                change(gp, shop)
                after = gp.predict(shop.points)
            return compare(after, expected, "new rows, other predictions")

        return lambda: change(gp, shop), check

    return case


def save(shop: Workshop) -> Any:
    """Replace a file: it is the old one or the new one, and nothing else is there."""
    path = shop.folder / "model.gprat"
    old, new = shop.gp(), shop.gp()
    new.theta = new.theta + 0.1
    new.predict(shop.points)
    old.save(path)

    def check(finished: bool, expected: Any) -> str:
        loaded = gprat.load(path)
        if not same(loaded.theta, new.theta) and (finished or not same(loaded.theta, old.theta)):
            return "the file is neither the old nor the new one"
        new.save(path, include_factor=True)
        left = sorted(file.name for file in shop.folder.iterdir())
        if left != ["model.gprat"]:
            return f"files are left: {left}"
        return compare(gprat.load(path).predict(shop.points), expected, "what is loaded")

    return lambda: new.save(path, include_factor=True), check


def checkpoint(shop: Workshop) -> Any:
    """Train with a checkpoint: resumed, it ends where it would have ended."""
    path = shop.folder / "training.json"
    path.unlink(missing_ok=True)

    def train() -> Any:
        gp = shop.gp()
        gp.optimize(max_iter=4, checkpoint=path, resume=True)
        return gp.theta

    def check(finished: bool, expected: Any) -> str:
        theta = train()
        path.unlink()
        left = [file.name for file in shop.folder.iterdir() if file.name != "model.gprat"]
        return f"files are left: {left}" if left else compare(theta, expected, "theta")

    return train, check


def tune(shop: Workshop) -> Any:
    """Measure the machine; measured again, it has rates."""

    def measure() -> Any:
        return calibrate("float32", tile_sizes=(32, 64))

    def check(finished: bool, expected: Any) -> str:
        alone = measure().rates["gemm"].alone
        answer = shop.gp().predict(shop.points)
        return compare(answer, expected, "predictions") if min(alone) > 0.0 else "no rates"

    return measure, check


def plan(shop: Workshop) -> Any:
    """Plan; planned again, memory and tiles are the same."""

    def ask() -> Any:
        plans = [gprat.plan(n, 8, 100, tile_size=256) for n in range(20_000, 40_000, 4000)]
        return tuple(plan.peak_bytes for plan in plans)

    return ask, lambda finished, expected: compare(ask(), expected, "the plan")


CASES: dict[str, Case] = {
    "fit": fit,
    "optimise": optimise,
    "likelihood": asking(lambda gp, shop: gp.loss(eval_gradient=True)[1]),
    "predict": asking(lambda gp, shop: gp.predict_with_uncertainty(shop.points)),
    "covariance": asking(lambda gp, shop: gp.predict_with_full_cov(shop.points)),
    "sample": asking(lambda gp, shop: gp.sample(shop.points, 20, random_state=0)),
    "copy": asking(lambda gp, shop: copy.deepcopy(gp).predict(shop.points)),
    "append": changing(lambda gp, shop: gp.append(shop.X[shop.n :], shop.y[shop.n :])),
    "delete": changing(lambda gp, shop: gp.delete(np.arange(0, shop.n, 9))),
    "save": save,
    "checkpoint": checkpoint,
    "tune": tune,
    "plan": plan,
}


def main() -> None:
    """Answer names of cases with how it went; an empty line ends it."""
    shop = Workshop(int(sys.argv[1]))
    print("@seconds", shop.seconds(), flush=True)
    while name := sys.stdin.readline().strip():
        print("@done", shop.trial(name), flush=True)


if __name__ == "__main__":
    main()
