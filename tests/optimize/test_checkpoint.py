"""Checkpoints: resumed training ends where uninterrupted training ends, whatever happened."""

import hashlib
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from gprat.exceptions import (
    CheckpointError,
    InvalidInputError,
    NotPositiveDefiniteError,
    UnsupportedTypeError,
)
from gprat.optimize.adam import Adam
from gprat.optimize.external import External
from gprat.optimize.lbfgs import LBFGSB
from gprat.optimize.registry import describe
from gprat.optimize.train import TrainingInterrupted, train
from toys import assert_same_result, make_task, quadratic, rosenbrock, waves, with_hole


def short(obj_func, initial_theta, bounds):
    """An optimiser as scikit-learn takes it."""
    result = minimize(
        obj_func, initial_theta, jac=True, method="TNC", bounds=bounds, options={"maxfun": 12}
    )
    return result.x, result.fun


OPTIMIZERS = [LBFGSB(max_iter=8), Adam(max_iter=8, schedule="cosine"), External(short)]
START = np.array([-1.2, 1.0])
HOLED = with_hole(rosenbrock, lambda theta: theta[0] < -4.0 or theta[1] > 2.0)


class Interrupting:
    """A loss that is interrupted at its k-th evaluation."""

    def __init__(self, objective, at=-1, error=KeyboardInterrupt):
        self.objective, self.at, self.error = objective, at, error
        self.n_calls = 0

    def __call__(self, theta):
        if self.n_calls == self.at:
            raise self.error
        self.n_calls += 1
        return self.objective(theta)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "training.json"


def no_objective(theta):
    raise AssertionError("everything is in the checkpoint")


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=describe)
@pytest.mark.parametrize(
    "options",
    [{}, {"n_restarts": 2, "warm_start": (10, 40)}],
    ids=["one start", "restarts and stages"],
)
def test_interruption_at_every_evaluation(path, optimizer, options):
    whole = Interrupting(HOLED)
    reference = train(
        make_task(whole, start=START, threads=1), optimizer, random_state=5, **options
    )
    assert whole.n_calls == reference.n_evaluations
    for at in range(whole.n_calls):
        path.unlink(missing_ok=True)
        interrupted = Interrupting(HOLED, at)
        with pytest.raises(TrainingInterrupted) as raised:
            train(
                make_task(interrupted, start=START, threads=1),
                optimizer, random_state=5, checkpoint=path, **options,
            )  # fmt: skip
        assert isinstance(raised.value.cause, KeyboardInterrupt)
        rest = Interrupting(HOLED)
        report = train(
            make_task(rest, start=START, threads=1),
            optimizer, random_state=5, checkpoint=path, resume=True, **options,
        )  # fmt: skip
        assert_same_result(report, reference)
        assert interrupted.n_calls + rest.n_calls == whole.n_calls
    # What has ended is resumed without any evaluation.
    again = train(
        make_task(no_objective, start=START, threads=1),
        optimizer, random_state=5, checkpoint=path, resume=True, **options,
    )  # fmt: skip
    assert_same_result(again, reference)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=describe)
def test_a_process_that_is_killed_loses_one_iteration_at_most(path, optimizer):
    options = {"n_restarts": 2, "random_state": 5, "warm_start": (10,)}
    copies = []

    def keep_copy(iteration):
        copies.append(path.with_name(f"{len(copies)}.json"))
        shutil.copy(path, copies[-1])

    task = make_task(HOLED, start=START, threads=1)
    reference = train(task, optimizer, callback=keep_copy, checkpoint=path, **options)
    assert len(copies) >= reference.n_iterations
    lengths = []
    for copy in copies:
        rest = Interrupting(HOLED)
        resumed = make_task(rest, start=START, threads=1)
        report = train(resumed, optimizer, checkpoint=copy, resume=True, **options)
        assert_same_result(report, reference)
        lengths.append(rest.n_calls)
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] < lengths[0] < reference.n_evaluations


@pytest.mark.parametrize("threads", [1, 4])
def test_restarts_that_run_at_the_same_time_resume(path, threads):
    options = {"n_restarts": 7, "warm_start": (20,)}
    task = make_task(waves, start=START, threads=threads)
    reference = train(task, random_state=1, **options)
    for at in (1, 10, 60, 100):
        path.unlink(missing_ok=True)
        broken = make_task(Interrupting(waves, at, MemoryError), start=START, threads=threads)
        with pytest.raises(TrainingInterrupted):
            train(broken, random_state=1, checkpoint=path, **options)
        report = train(task, random_state=1, checkpoint=path, resume=True, **options)
        assert_same_result(report, reference)


@pytest.mark.parametrize("random_state", [None, "generator", "legacy"])
def test_random_starts_are_those_of_the_file(path, random_state):
    def state():
        if random_state == "generator":
            return np.random.default_rng()
        return None if random_state is None else np.random.RandomState()

    options = {"n_restarts": 5, "warm_start": (20,), "checkpoint": path}
    with pytest.raises(TrainingInterrupted):
        train(make_task(Interrupting(waves, 40), threads=1), random_state=state(), **options)
    stored = json.loads(path.read_text())["body"]["starts"]
    # The model may have moved meanwhile.
    moved = make_task(waves, start=np.array([0.1, 0.2]), threads=1)
    report = train(moved, random_state=state(), resume=True, **options)
    assert [start.theta.tolist() for start in report.starts] == stored
    assert stored[0] == [3.0, 3.0]


def test_the_callback_is_told_again(path):
    first, second = [], []

    def stop(iteration):
        first.append(iteration)
        return iteration.iteration == 5

    task = make_task(rosenbrock, start=START)
    stopped = train(task, callback=stop, checkpoint=path)
    assert stopped.message == "stopped by the callback"
    report = train(task, callback=second.append, checkpoint=path, resume=True)
    assert report.success
    assert [i.loss for i in second[:5]] == [i.loss for i in first]
    assert [i.iteration for i in second] == list(range(1, report.n_iterations + 1))


def test_failures_are_remembered(path):
    objective = with_hole(rosenbrock, lambda theta: True)
    causes = []
    for resume, loss in ((False, objective), (True, no_objective)):
        with pytest.raises(TrainingInterrupted) as raised:
            train(make_task(loss), n_restarts=2, random_state=0, checkpoint=path, resume=resume)
        causes.append(raised.value.cause)
    for cause in causes:
        assert isinstance(cause, NotPositiveDefiniteError)
        assert (cause.row, cause.near_duplicates) == (4, (1, 2))
    assert str(causes[0]) == str(causes[1])


def test_infinite_losses_are_remembered(path):
    objective = with_hole(quadratic, lambda theta: True, "infinity")
    for resume, loss in ((False, objective), (True, no_objective)):
        with pytest.raises(TrainingInterrupted, match="the loss at the start is inf") as raised:
            train(make_task(loss), checkpoint=path, resume=resume)
        assert isinstance(raised.value.cause, InvalidInputError)


def test_an_optimizer_that_takes_another_path_forgets_the_rest(path):
    shift = 0.0

    def moody(obj_func, initial_theta, bounds):
        for step in (0.0, 1.0, shift, 3.0):
            obj_func(initial_theta - step)
        return initial_theta, 0.0

    train(make_task(), moody, checkpoint=path)
    shift = 2.5
    rest = Interrupting(quadratic)
    report = train(make_task(rest), moody, checkpoint=path, resume=True)
    # The first two and the last are at the same theta; yet the last one came after the change.
    assert rest.n_calls == report.n_evaluations - 2
    logged = json.loads(path.read_text())["body"]["logs"][0]["evaluations"]
    assert [entry["theta"][0] for entry in logged] == [3.0, 2.0, 0.5, 0.0]


def test_resuming_without_a_file_starts_afresh(path):
    reference = train(make_task())
    assert_same_result(train(make_task(), checkpoint=path, resume=True), reference)
    assert_same_result(train(make_task(no_objective), checkpoint=path, resume=True), reference)


def test_paths_may_be_text_and_links(path, tmp_path):
    link = tmp_path / "link.json"
    link.symlink_to(path)
    train(make_task(), checkpoint=str(link))
    assert link.is_symlink()
    assert path.is_file()
    train(make_task(no_objective), checkpoint=os.fspath(path), resume=True)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link.json", "training.json"]


# Refusals: at once, without any work, and without touching the file


def refused(message, kind=CheckpointError, task=None, optimizer="l-bfgs-b", **options):
    task = make_task(no_objective) if task is None else replace(task, make_objective=None)
    with pytest.raises(kind, match=message):
        train(task, optimizer, **options)


def test_an_existing_file_is_not_overwritten(path):
    path.write_text("precious")
    refused("exists already. Pass resume=True", checkpoint=path)
    assert path.read_text() == "precious"


def test_places_that_cannot_be_written(path, tmp_path):
    refused("no checkpoint can be written to the folder", checkpoint=tmp_path / "no" / "file")
    refused("is no regular file", checkpoint=tmp_path)
    refused("is no regular file", checkpoint="/dev/null", resume=True)
    refused("checkpoint must be the path of a file, got 3", UnsupportedTypeError, checkpoint=3)
    refused("cannot name a checkpoint", checkpoint="a\0b")
    path.write_text("")
    refused("no checkpoint can be written to the folder", checkpoint=path / "file")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    refused("cannot name a checkpoint|no regular file", checkpoint=loop)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["loop", "training.json"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folders_that_may_not_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    refused("no checkpoint can be written to the folder", checkpoint=tmp_path / "file")


def test_a_disk_that_fills_up_ends_training_with_the_best_so_far(path, monkeypatch):
    def write(*_):
        raise OSError(28, "No space left on device")

    def fill_disk(iteration):
        if iteration.iteration == 3:
            monkeypatch.setattr("gprat.optimize.checkpoint._write_atomically", write)

    task = make_task(rosenbrock, start=START)
    with pytest.raises(TrainingInterrupted) as raised:
        train(task, callback=fill_disk, checkpoint=path)
    assert isinstance(raised.value.cause, CheckpointError)
    assert "No space left" in str(raised.value.cause)
    assert raised.value.report.n_iterations == 4
    monkeypatch.undo()
    assert_same_result(train(task, checkpoint=path, resume=True), train(task))


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"fingerprint": "other"}, {}, "the data, the kernel, the noise or the objective differ"),
        ({"n_rows": 101}, {}, "n_rows was 100 and now is 101"),
        ({"names": ("a", "b")}, {}, "names was .* and now is"),
        ({}, {"optimizer": "adam"}, "optimizer was 'LBFGSB.*and now is .Adam"),
        ({}, {"optimizer": LBFGSB(max_iter=3)}, "optimizer was 'LBFGSB"),
        ({}, {"n_restarts": 3}, "n_restarts was 2 and now is 3"),
        ({}, {"random_state": 1}, "random_state was 0 and now is 1"),
        ({}, {"warm_start": (11,)}, r"warm_start was \(10,\) and now is \(11,\)"),
        ({}, {"warm_start": None}, r"warm_start was \(10,\) and now is \(\)"),
        ({"bounds": np.array([[-1.0, 1.0]] * 2)}, {}, "bounds was .* and now is"),
    ],
)
def test_other_training_is_refused(path, changes, options, message):
    settings = {"n_restarts": 2, "random_state": 0, "warm_start": (10,), "checkpoint": path}
    train(make_task(), **settings)
    before = path.read_bytes()
    task = make_task(no_objective, **changes)
    refused(message, task=task, resume=True, **{**settings, **options})
    assert path.read_bytes() == before
    # A seed of None takes what is there.
    train(make_task(no_objective), resume=True, **{**settings, "random_state": None})


# Hostile files


@pytest.fixture
def text(path):
    train(make_task(HOLED), n_restarts=1, random_state=0, checkpoint=path)
    return path.read_text()


def forged(text, edit):
    """Edit the contents and make the checksum right again."""
    frame = json.loads(text)
    edit(frame["body"])
    frame["sha256"] = hashlib.sha256(json.dumps(frame["body"]).encode()).hexdigest()
    return json.dumps(frame)


def assert_refused(path, contents, message="damaged|no checkpoint|other training"):
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    before = path.read_bytes()
    task = make_task(no_objective)
    with pytest.raises(CheckpointError, match=message):
        train(task, n_restarts=1, random_state=0, checkpoint=path, resume=True)
    assert path.read_bytes() == before


def test_truncated_files(path, text):
    for length in range(0, len(text.rstrip()), 97):
        assert_refused(path, text[:length], "damaged")


def test_changed_bytes(path, text, rng):
    contents = text.rstrip().encode()
    for position in rng.integers(len(contents), size=100):
        changed = bytearray(contents)
        changed[position] ^= 1 << int(rng.integers(7))
        path.write_bytes(changed)
        # Spaces between tokens are the only bytes that mean nothing.
        if json_or_none(changed) == json.loads(contents):
            continue
        assert_refused(path, bytes(changed), "damaged|no checkpoint|of version")


def json_or_none(contents):
    try:
        return json.loads(contents)
    except ValueError:
        return None


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"precious",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"3",
        b"{}",
        b'"text"',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 10_000,
        b'{"format": "gprat training checkpoint", "version": 1}',
        b'{"format": "gprat training checkpoint", "version": 1, "body": {}, "sha256": null}',
        b'{"format": "gprat training checkpoint", "version": 1, "body": [], "sha256": ""}',
    ],
    ids=lambda contents: contents[:20],
)
def test_files_that_are_no_checkpoints(path, contents):
    assert_refused(path, contents)


@pytest.mark.parametrize("depth", [1, 50, 200, 320, 400, 480, 600, 900, 990, 5000])
def test_nested_contents_of_any_depth(path, depth):
    """Some are shallow enough to be read, and too deep to be written again."""
    body = '{"logs": ' + "[" * depth + "]" * depth + "}"
    digest = hashlib.sha256(body.encode()).hexdigest()
    frame = {"format": "gprat training checkpoint", "version": 1, "sha256": digest}
    path.write_text(f'{json.dumps(frame)[:-1]}, "body": {body}}}')
    with pytest.raises(CheckpointError):
        train(make_task(no_objective), checkpoint=path, resume=True)


def test_names_that_come_twice(path, text):
    path.write_text('{"version": 1, ' + text[1:])
    with pytest.raises(CheckpointError, match="a name comes twice"):
        train(make_task(no_objective), checkpoint=path, resume=True)


def test_files_of_another_version(path, text):
    assert_refused(path, text.replace('"version": 1', '"version": 2'), "of version 2, expected 1")


WRONG = [None, True, "x", [], {}, -1, 1.5, 1e400, -(10**400), float("nan"), [[]], [None], {"a": 1}]


def places(value, path=()):
    """Every place inside nested lists and dicts."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


def is_distinct(place):
    """All evaluations of a start are alike: the first will do."""
    return "evaluations" not in place[:-1] or place[3] == 0


def test_wrong_values_anywhere_never_crash(path, text):
    body = json.loads(text)["body"]
    kept = [place for place in places(body) if is_distinct(place)]
    n_refused = 0
    for place in kept:
        for wrong in WRONG:

            def edit(body, place=place, wrong=wrong):
                for key in place[:-1]:
                    body = body[key]
                body[place[-1]] = wrong

            path.write_text(forged(text, edit))
            try:
                train(make_task(HOLED), n_restarts=1, random_state=0, checkpoint=path, resume=True)
            except CheckpointError:
                n_refused += 1
            except TrainingInterrupted as interrupted:
                pytest.fail(f"{place} = {wrong!r}: {interrupted.cause!r}")
    assert n_refused > 0.8 * len(kept) * len(WRONG)


def test_missing_parts_never_crash(path, text):
    body = json.loads(text)["body"]
    keys = [place for place in places(body) if isinstance(place[-1], str) and is_distinct(place)]
    assert {"theta", "loss", "gradient", "failure", "near_duplicates"} < {key[-1] for key in keys}
    for place in keys:

        def edit(body, place=place):
            for key in place[:-1]:
                body = body[key]
            del body[place[-1]]

        # A failure without a row is one of another kind.
        if place[-1] != "row":
            assert_refused(path, forged(text, edit))


def test_starts_and_logs_that_do_not_fit(path, text):
    def twice(body):
        body["logs"].append(body["logs"][0])

    def beyond(body):
        body["logs"][0]["start"] = 2

    def third(body):
        body["starts"].append([0.0, 0.0])

    def outside(body):
        body["starts"][0] = [0.0, 11.0]

    def infinite(body):
        body["starts"][0] = [0.0, float("inf")]

    for edit in (twice, beyond, third, outside, infinite):
        assert_refused(path, forged(text, edit), "damaged")
