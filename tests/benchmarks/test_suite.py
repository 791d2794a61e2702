"""The suite in small: every study that has peers, with ours and scikit-learn, and its rules."""

from dataclasses import replace

import numpy as np
import pytest
from benchmarks.agreement import AgreementError
from benchmarks.competition import Competition
from benchmarks.peers import environments, registry
from benchmarks.peers.process import started
from benchmarks.peers.registry import PEERS, Peer
from benchmarks.problem import Arrays, Problem
from benchmarks.record import Record
from benchmarks.report import page
from benchmarks.studies import features, generalisation, headline, memory, small
from benchmarks.study import Options, run_study
from benchmarks.timing import Effort, interleave

EFFORT = Effort(repeats=2, sample=1e-4, pause=0.0, budget=0.1)
HERE = ("gprat", "gprat-float32", "lapack", "scikit-learn")


def options(study):
    peers = tuple(name for name in study.PEERS if name in HERE)
    return Options(study.SMOKE_SIZES, peers, threads=2, effort=EFFORT)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return a folder with the files of all studies here."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "FEATURES", (2, 5))
        for study in (headline, small, features, generalisation, memory):
            run_study(study, options(study), folder, folder)
    return folder


@pytest.mark.parametrize("study", [headline, small, features], ids=lambda s: s.NAME)
def test_all_peers_are_timed_and_agree(study, results):
    record = Record.read(results / f"{study.NAME}.json")
    assert {row["peer"] for row in record.rows} == set(record.settings["peers"])
    for row in record.rows:
        assert row["median"] > 0.0
        assert row["fastest"] <= row["median"] <= row["slowest"]
        limit = 2e-2 if row["peer"] == "gprat-float32" else 1e-7
        assert all(value <= limit for value in row.get("deviation", {}).values())
    assert record.source.keys() == {"commit", "modified"}
    assert (results / f"{study.NAME}.png").stat().st_size > 10_000


def test_fits_reach_the_same_predictions(results):
    record = Record.read(results / "generalisation.json")
    for name in {row["data"] for row in record.rows}:
        ours, theirs = record.select(data=name, model="RBF")
        assert (ours["peer"], theirs["peer"]) == ("gprat", "scikit-learn")
        # Few rows have several optima; both find good ones.
        assert ours["rmse"] == pytest.approx(theirs["rmse"], rel=0.2)
        assert 0.5 <= ours["coverage"] <= 1.0


def test_an_update_replaces_the_sizes_that_were_measured_anew(results, tmp_path):
    earlier = Record.read(results / "headline.json")
    kept, again = headline.SMOKE_SIZES
    run = replace(options(headline), sizes=(again,))
    earlier.write(tmp_path / "headline.json")
    run_study(headline, run, tmp_path, tmp_path, update=True)
    record = Record.read(tmp_path / "headline.json")
    assert record.select(n=kept) == earlier.select(n=kept)
    assert len(record.rows) == len(earlier.rows)
    assert record.select(n=again) != earlier.select(n=again)
    assert f"Later, {record.extra['later'][0]['date']}" in page.provenance(record)
    with pytest.raises(ValueError, match="threads 2, and the new run"):
        run_study(headline, replace(run, threads=1), tmp_path, tmp_path, update=True)


def test_memory_grows_as_fitted(results):
    growth = memory.fit_growth([1000, 2000, 4000], [4e6 + 2e5, 16e6 + 4e5, 64e6 + 8e5])
    assert growth == pytest.approx([4.0, 200.0])
    assert memory.largest_size(growth, 64e6 + 8e5) == pytest.approx(4000, abs=1)
    record = Record.read(results / "memory.json")
    assert all(row["bytes"] >= 0 for row in record.rows)


def test_render(results, tmp_path, monkeypatch):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    monkeypatch.setattr(page, "README", readme)
    monkeypatch.setattr(page, "PAGE", tmp_path / "performance.md")
    studies = (headline, small, features, generalisation, memory)
    monkeypatch.setattr(features, "FEATURES", (2, 5))
    assert page.render(studies, results) == [tmp_path / "performance.md", readme]
    text = (tmp_path / "performance.md").read_text()
    for study in studies:
        assert f"## {study.TITLE}" in text
        assert f"images/performance/{study.NAME}.png" in text
    assert "Where others are faster" in text
    table = readme.read_text()
    assert table.startswith("before\n")
    assert table.endswith("after\n")
    assert "old" not in table
    with pytest.raises(SystemExit, match="has no results"):
        page.render(studies, tmp_path / "nowhere")


@pytest.fixture
def bad_peers(monkeypatch):
    module = "tests.benchmarks.wrong_adapter"
    for name in ("Wrong", "Approximate", "Slow", "Broken"):
        monkeypatch.setitem(PEERS, name.lower(), Peer(f"{module}:{name}"))


def compete(names, operation, effort=EFFORT):
    problem = Problem(n=40, m=5)
    with started(("gprat", *names), threads=2) as peers:
        competition = Competition(peers, effort)
        competition.load(problem)
        rows = competition.rows(problem, operation)
    return {row["peer"]: row for row in rows}


@pytest.mark.usefixtures("bad_peers")
def test_who_disagrees_gets_an_error_and_no_time():
    with pytest.raises(AgreementError, match="wrong disagrees with gprat about the mean"):
        compete(["wrong"], "mean")


@pytest.mark.usefixtures("bad_peers")
def test_approximations_are_reported_with_their_distance():
    row = compete(["approximate"], "mean")["approximate"]
    assert row["deviation"]["mean"] > 1e-7
    assert row["median"] > 0.0


@pytest.mark.usefixtures("bad_peers")
def test_who_is_slow_or_breaks_has_a_reason_instead_of_a_time():
    rows = compete(["slow", "broken"], "mean", replace(EFFORT, limit=4.0))
    assert rows["slow"]["failure"] == "time"
    assert rows["broken"]["failure"] == "error"
    assert "no mean today" in rows["broken"]["message"]
    assert rows["gprat"]["median"] > 0.0


def test_repetitions_are_interleaved():
    turns = []
    calls = {name: lambda _, name=name: turns.append(name) or 1.0 for name in "ab"}
    effort = replace(EFFORT, repeats=3, fewest=3)
    timings = interleave(calls, {"a": 1.0, "b": 1.0}, replace(effort, long=0.5))
    assert turns == list("abab")
    # The first calls, made before, are samples of long ones.
    assert timings["a"].samples == (1.0, 1.0, 1.0)
    turns.clear()
    timings = interleave(calls, {"a": 1.0, "b": 1.0}, effort)
    # A call that isn't measured begins each turn.
    assert turns == list("aabb" * 3)
    assert timings["b"].samples == (1.0, 1.0, 1.0)


def test_inputs_are_lags_of_one_signal():
    arrays = Problem(n=30, m=10, d=4).arrays()
    X = np.vstack([arrays.X, arrays.X_test])
    np.testing.assert_array_equal(X[1:, 1:], X[:-1, :-1])
    assert isinstance(arrays, Arrays)


def test_environments_are_pinned():
    names = {peer.environment for peer in PEERS.values()} - {None, "gprat-original"}
    assert set(environments.available()) == names
    for name in names:
        lines = (environments.REQUIREMENTS / f"{name}.txt").read_text().splitlines()
        assert all("==" in line or "<" in line for line in lines)
    with pytest.raises(ValueError, match="expected one of"):
        environments.install("matlab")
    with pytest.raises(ValueError, match="unknown peer"):
        registry.known("matlab")
    assert not registry.known("gprat-original").is_installed
