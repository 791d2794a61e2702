"""The trace records every task, and only inside its block."""

import numpy as np
import pytest

import gprat


def make_model(**options):
    X = np.linspace(0.0, 1.0, 400).reshape(-1, 1)
    return gprat.GP(X, np.sin(X[:, 0]), tile_size=100, **options)


@pytest.mark.parametrize("threads", [1, 2])
def test_tasks_of_a_factorisation(threads):
    with gprat.trace() as t:
        make_model(threads=threads).log_marginal_likelihood()
    tasks = t.tasks
    names, counts = np.unique(tasks["name"], return_counts=True)
    count = dict(zip(names.tolist(), counts.tolist(), strict=True))
    # Four tiles a side: ten tiles to assemble, four to factorise, six below the diagonal.
    assert (count["assemble"], count["potrf"], count["trsm"]) == (10, 4, 6)
    assert np.all(tasks["start"] <= tasks["end"])
    assert np.all((tasks["thread"] >= 0) & (tasks["thread"] < threads))


def test_dependencies_are_respected():
    with gprat.trace() as t:
        make_model(threads=2).log_marginal_likelihood(eval_gradient=True)
    tasks = t.tasks

    def one(name, row, column):
        (found,) = tasks[
            (tasks["name"] == name) & (tasks["row"] == row) & (tasks["column"] == column)
        ]
        return found

    for j in range(3):
        assert one("potrf", j, j)["end"] <= one("trsm", j + 1, j)["start"]
        assert one("assemble", j, j)["end"] <= one("potrf", j, j)["start"]
    assert one("potrf", 3, 3)["end"] <= one("contract", 3, 3)["start"]


def test_nothing_is_recorded_outside():
    with gprat.trace() as t:
        pass
    make_model().log_marginal_likelihood()
    assert t.tasks.size == 0
