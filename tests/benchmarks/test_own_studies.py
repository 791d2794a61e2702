"""The studies that need no peer, in small: border, scaling, tiles, and LAPACK below us."""

import json

import pytest
from benchmarks.agreement import AgreementError
from benchmarks.record import Record
from benchmarks.studies import (
    baselines,
    border,
    cluster,
    cluster_network,
    cluster_scaling,
    scaling,
    tiles,
)
from benchmarks.study import Options, run_study
from benchmarks.timing import Effort

STUDIES = [
    pytest.param(
        border,
        marks=pytest.mark.skipif(
            not border.PROGRAM.exists(), reason="make native-test builds the program"
        ),
    ),
    scaling,
    tiles,
    baselines,
    cluster,
    pytest.param(
        cluster_network,
        marks=pytest.mark.skipif(
            cluster_network.needs() is not None, reason=str(cluster_network.needs())
        ),
    ),
    cluster_scaling,
]
EFFORT = Effort(repeats=2, sample=1e-4, pause=0.0, budget=0.1)


def options(study):
    return Options(study.SMOKE_SIZES, study.PEERS, threads=2, effort=EFFORT)


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.NAME)
def test_a_study_measures_draws_and_tells(study, tmp_path):
    run_study(study, options(study), tmp_path, tmp_path)
    record = Record.read(tmp_path / f"{study.NAME}.json")
    assert {row["n"] for row in record.rows} == set(study.SMOKE_SIZES)
    assert all(row["median"] > 0.0 for row in record.rows)
    assert (tmp_path / f"{study.NAME}.png").stat().st_size > 10_000
    # Every line of a table has as many cells as the heading.
    parts = study.section(record).split("\n\n")
    tables = [part.splitlines() for part in parts if part.startswith("|")]
    assert tables
    for lines in tables:
        assert len(lines) > 2
        assert len({line.count("|") for line in lines}) == 1


def test_the_border_is_not_measured_between_different_results(tmp_path, monkeypatch):
    native = tmp_path / "border"
    native.write_text(f"#!/bin/sh\necho '{json.dumps({'value': 0.5, 'seconds': 1e-6})}'\n")
    native.chmod(0o755)
    monkeypatch.setattr(border, "PROGRAM", native)
    with pytest.raises(AgreementError, match="predict at n = 1 differs"):
        border.measure(options(border))


def test_more_threads_are_not_faster_at_another_result(monkeypatch):
    made = scaling.make_model

    def make_model(problem, arrays, **settings):
        # As if the sums depended on who adds them.
        noise = 0.1 if settings.get("threads") != 2 else 0.1 + 1e-12
        return made(
            type(problem)(**problem.describe() | {"noise_variance": noise}), arrays, **settings
        )

    monkeypatch.setattr(scaling, "make_model", make_model)
    with pytest.raises(AgreementError, match="depend on the threads"):
        scaling.measure(options(scaling))


def test_tiles_of_a_wrong_result_are_not_timed(monkeypatch):
    made = tiles.make_model

    def make_model(problem, arrays, **settings):
        noise = 0.1 if settings.get("tile_size", 1000) != 200 else 0.2
        return made(
            type(problem)(**problem.describe() | {"noise_variance": noise}), arrays, **settings
        )

    monkeypatch.setattr(tiles, "make_model", make_model)
    with pytest.raises(AgreementError, match="tile size of 200"):
        tiles.measure(options(tiles))


def test_a_cluster_with_another_result_is_not_timed(monkeypatch):
    made = cluster.make_model

    def make_model(problem, arrays, **settings):
        noise = 0.1 if "engine" not in settings else 0.2
        return made(
            type(problem)(**problem.describe() | {"noise_variance": noise}), arrays, **settings
        )

    monkeypatch.setattr(cluster, "make_model", make_model)
    with pytest.raises(AgreementError, match="on the cluster differs at n = 320"):
        cluster.measure(options(cluster))


def test_dask_arrays_factor_is_compared(monkeypatch):
    monkeypatch.setattr(cluster, "log_determinant", lambda *problem: 1.0)
    with pytest.raises(AgreementError, match="log determinant differs at n = 320"):
        cluster.measure(options(cluster))


def test_the_study_of_a_network_says_what_it_needs(monkeypatch):
    monkeypatch.setattr(cluster_network.missing.__globals__["os"], "geteuid", lambda: 1000)
    with pytest.raises(SystemExit, match="need root"):
        cluster_network.measure(options(cluster_network))
