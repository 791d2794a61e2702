"""Checkpoints: every evaluation of the loss, in a file, so that training can be resumed.

A checkpoint holds no state of an optimiser. Resumed training runs the same optimiser from the same
start and gives it the losses that it got before, as long as it asks at bitwise the same theta: so
any deterministic optimiser ends exactly where it would have ended without the interruption.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from gprat._files import read_regular, temporary_beside, write_atomically
from gprat._json import parse_json
from gprat._validation import Float64Array
from gprat.exceptions import (
    CheckpointError,
    InvalidInputError,
    NotPositiveDefiniteError,
    UnsupportedTypeError,
)
from gprat.optimize.base import Evaluation, Failure

__all__ = ["Checkpoint", "Identity", "Plan", "check_path"]

_FORMAT, _VERSION = "gprat training checkpoint", 1
_LARGEST_FILE = 1 << 30
_START_AFRESH = "Start afresh with another name, or remove the file."


@dataclass(frozen=True)
class Identity:
    """What a checkpoint and the training that resumes it must share.

    Parameters
    ----------
    names : tuple of str
        Names of the hyperparameters.
    bounds : tuple of float
        Lower and upper bound of the first, of the second, and so on.
    n_rows : int
        Number of training rows.
    fingerprint : str
        `TrainingTask.fingerprint`.
    optimizer : str
        How the optimiser is set.
    n_restarts : int
        Number of starts beside the first.
    warm_start : tuple of int
        Rows of the early stages.
    random_state : int or None
        The seed, if it is a number. None, also for a generator: the starts in the file count.
    """

    names: tuple[str, ...]
    bounds: tuple[float, ...]
    n_rows: int
    fingerprint: str
    optimizer: str
    n_restarts: int
    warm_start: tuple[int, ...]
    random_state: int | None


@dataclass(frozen=True, eq=False)
class Plan:
    """What was drawn at random before training began.

    Parameters
    ----------
    starts : tuple of ndarray of shape (p,)
        The starts, the model's own first.
    subset_seed : int
        Seed of the permutation that the rows of the early stages are taken from.
    """

    starts: tuple[Float64Array, ...]
    subset_seed: int


class _Log:
    """The evaluations of one start in one stage; see `gprat.optimize.base.EvaluationLog`."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._outcomes: list[Evaluation | Failure] = []
        self._texts: list[str] = []
        self._n_recalled = 0

    def recall(self, theta: Float64Array) -> Evaluation | Failure | None:
        if self._n_recalled == len(self._outcomes):
            return None
        outcome = self._outcomes[self._n_recalled]
        if outcome.theta.tobytes() != theta.tobytes():
            # Another path from here on: a random or a changed optimiser.
            del self._outcomes[self._n_recalled :], self._texts[self._n_recalled :]
            return None
        self._n_recalled += 1
        return outcome

    def append(self, outcome: Evaluation | Failure) -> None:
        self.restore(outcome)
        self._n_recalled += 1
        self._checkpoint.is_saved = False

    def restore(self, outcome: Evaluation | Failure) -> None:
        """Add what is to be recalled."""
        self._outcomes.append(outcome)
        self._texts.append(json.dumps(_encoded(outcome)))

    def save(self) -> None:
        self._checkpoint.save()

    def text(self) -> str:
        """Return the evaluations as JSON."""
        return f"[{', '.join(tuple(self._texts))}]"


class Checkpoint:
    """A checkpoint file of one training; several threads may use it.

    Parameters
    ----------
    path : Path
        The file; it is replaced as a whole, so it is never half-written.
    identity : Identity
        What the training is.
    plan : Plan
        What was drawn for it.

    Raises
    ------
    CheckpointError
        If no file can be written there. Nothing is changed.
    """

    def __init__(self, path: Path, identity: Identity, plan: Plan) -> None:
        self._path = path
        self._identity = identity
        self.plan = plan
        self.is_saved = False
        self._logs: dict[tuple[int, int], _Log] = {}
        self._lock = threading.Lock()
        _probe(path)

    @classmethod
    def load(cls, path: Path, identity: Identity, bounds: Float64Array) -> Checkpoint:
        """Read the file of an earlier run.

        Raises
        ------
        CheckpointError
            If the file is damaged or belongs to other training.
        """
        body = _read_body(path)
        try:
            _check_identity(path, _identity_from(body), identity)
            checkpoint = cls(path, identity, _plan_from(body, identity, bounds))
            for entry in _list(body["logs"], "logs"):
                start = _whole(entry["start"], "start", len(checkpoint.plan.starts))
                stage = _whole(entry["stage"], "stage", len(identity.warm_start) + 1)
                if (start, stage) in checkpoint._logs:
                    raise _DamagedError(f"it has start {start}, stage {stage} twice")
                log = checkpoint.log(start, stage)
                for outcome in _list(entry["evaluations"], "evaluations"):
                    log.restore(_outcome_from(outcome, len(identity.names)))
        except _DamagedError as error:
            raise CheckpointError(f"{path} is damaged: {error}. {_START_AFRESH}") from None
        except CheckpointError:
            raise
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(f"{path} is damaged ({error!r}). {_START_AFRESH}") from None
        checkpoint.is_saved = True
        return checkpoint

    def log(self, start: int, stage: int) -> _Log:
        """Return the log of one start in one stage, counted from 0."""
        with self._lock:
            return self._logs.setdefault((start, stage), _Log(self))

    def save(self) -> None:
        """Write the file, unless it has everything already.

        Raises
        ------
        CheckpointError
            If the file cannot be written; the last one stays.
        """
        with self._lock:
            if self.is_saved:
                return
            # Set before the logs are read: what is added meanwhile is saved next time.
            self.is_saved = True
            try:
                _write_atomically(self._path, self._text())
            except OSError as error:
                self.is_saved = False
                raise CheckpointError(
                    f"the checkpoint {self._path} cannot be written: {error}. Mend that, then go "
                    "on from the last checkpoint with resume=True."
                ) from error

    def _text(self) -> str:
        logs = ", ".join(
            f'{{"start": {start}, "stage": {stage}, "evaluations": {log.text()}}}'
            for (start, stage), log in sorted(self._logs.items())
        )
        plan = {
            "starts": [start.tolist() for start in self.plan.starts],
            "subset_seed": self.plan.subset_seed,
        }
        head = json.dumps({"identity": asdict(self._identity), **plan})
        body = f'{head[:-1]}, "logs": [{logs}]}}'
        frame = {"format": _FORMAT, "version": _VERSION, "sha256": _digest(body)}
        return f'{json.dumps(frame)[:-1]}, "body": {body}}}\n'


def check_path(path: object, resume: bool) -> Path | None:
    """Return the path of a checkpoint, links followed, before any work is done.

    Raises
    ------
    UnsupportedTypeError
        If it is no path.
    InvalidInputError
        If there is something to resume from, but no path.
    CheckpointError
        If there is a file already and `resume` is false, or something that is no file.
    """
    if path is None:
        if resume:
            raise InvalidInputError(
                "resume=True needs the file to resume from. Pass checkpoint=path too."
            )
        return None
    if not isinstance(path, str | os.PathLike):
        raise UnsupportedTypeError(
            f"checkpoint must be the path of a file, got {path!r} of type {type(path).__name__}."
        )
    try:
        resolved = Path(os.fspath(path)).resolve()
        exists = os.path.lexists(resolved)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"{path!r} cannot name a checkpoint: {error}.") from None
    if exists and not resolved.is_file():
        raise CheckpointError(f"{path} is no regular file. Pass the path of a file.")
    if exists and not resume:
        raise CheckpointError(
            f"{path} exists already. Pass resume=True to go on from it, or remove it."
        )
    return resolved


class _DamagedError(Exception):
    """What is wrong with the contents of a file, as a clause."""


def _probe(path: Path) -> None:
    """Check that a file can be written beside `path`."""
    try:
        with temporary_beside(path):
            pass
    except OSError as error:
        raise CheckpointError(
            f"no checkpoint can be written to the folder {path.parent}: {error}. Make the folder, "
            "or choose one that may be written to."
        ) from error


def _write_atomically(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode()))


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _encoded(outcome: Evaluation | Failure) -> dict[str, Any]:
    theta = outcome.theta.tolist()
    if isinstance(outcome, Evaluation):
        return {"theta": theta, "loss": outcome.loss, "gradient": outcome.gradient.tolist()}
    error = outcome.error
    encoded = {"theta": theta, "failure": str(error)}
    if isinstance(error, NotPositiveDefiniteError):
        duplicates = [int(row) for row in error.near_duplicates]
        return {**encoded, "row": int(error.row), "near_duplicates": duplicates}
    return encoded


def _read_body(path: Path) -> dict[str, Any]:
    frame = _read_json(path)
    if not isinstance(frame, dict) or frame.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of gprat. {_START_AFRESH}")
    if frame.get("version") != _VERSION:
        raise CheckpointError(
            f"{path} is a checkpoint of version {frame.get('version')!r:.30}, expected {_VERSION}. "
            f"Resume it with the gprat that wrote it. {_START_AFRESH}"
        )
    body = frame.get("body")
    if not isinstance(body, dict) or _digest(json.dumps(body)) != frame.get("sha256"):
        raise CheckpointError(f"{path} is damaged: its checksum differs. {_START_AFRESH}")
    return body


def _read_json(path: Path) -> Any:
    try:
        return parse_json(read_regular(path, _LARGEST_FILE), allow_constants=True)
    except OSError as error:
        raise CheckpointError(f"the checkpoint {path} cannot be read: {error}.") from error
    # Nested too deeply, or no text, or no JSON, or numbers with thousands of digits.
    except ValueError as error:
        raise CheckpointError(
            f"{path} is damaged: it is no JSON ({error!s:.100}). {_START_AFRESH}"
        ) from None


def _identity_from(body: dict[str, Any]) -> Identity:
    values = body["identity"]
    if not isinstance(values, dict) or set(values) != {field.name for field in fields(Identity)}:
        raise _DamagedError("it does not say what it is the training of")
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return Identity(**{**values, **lists})


def _check_identity(path: Path, stored: Identity, expected: Identity) -> None:
    for field in fields(Identity):
        was, now = getattr(stored, field.name), getattr(expected, field.name)
        if was == now or (field.name == "random_state" and now is None):
            continue
        what = f"{field.name} was {was!r} and now is {now!r}"
        if field.name == "fingerprint":
            what = "the data, the kernel, the noise or the objective differ"
        raise CheckpointError(
            f"{path} belongs to other training: {what}. Resume with what it was made with. "
            f"{_START_AFRESH}"
        )


def _plan_from(body: dict[str, Any], identity: Identity, bounds: Float64Array) -> Plan:
    starts = _list(body["starts"], "starts")
    if len(starts) != identity.n_restarts + 1:
        raise _DamagedError(f"it has {len(starts)} starts, not {identity.n_restarts + 1}")
    thetas = tuple(_finite(start, len(identity.names), "start") for start in starts)
    if any((theta < bounds[:, 0]).any() or (theta > bounds[:, 1]).any() for theta in thetas):
        raise _DamagedError("it has a start outside the bounds")
    return Plan(thetas, _whole(body["subset_seed"], "subset_seed", 1 << 64))


def _outcome_from(entry: Any, p: int) -> Evaluation | Failure:
    if "failure" not in entry:
        (loss,) = _finite([entry["loss"]], 1, "loss")
        gradient = _finite(entry["gradient"], p, "gradient")
        return Evaluation(_finite(entry["theta"], p, "theta"), float(loss), gradient)
    theta, message = _numbers(entry["theta"], p, "theta"), entry["failure"]
    if not isinstance(message, str):
        raise _DamagedError("a failure has no message")
    if "row" not in entry:
        return Failure(theta, InvalidInputError(message))
    rows = [entry["row"], *_list(entry["near_duplicates"], "near_duplicates")]
    if any(type(row) is not int for row in rows):
        raise _DamagedError("a failure is at no row")
    return Failure(theta, NotPositiveDefiniteError(message, rows[0], tuple(rows[1:])))


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise _DamagedError(f"{name} is no list")
    return value


def _whole(value: Any, name: str, end: int) -> int:
    """Return a whole number from 0, below `end`."""
    if type(value) is not int or not 0 <= value < end:
        raise _DamagedError(f"{name} is {value!r:.30}")
    return value


def _numbers(values: Any, size: int, name: str) -> Float64Array:
    entries = _list(values, name)
    if len(entries) != size or any(type(entry) not in (int, float) for entry in entries):
        raise _DamagedError(f"{name} is not {size} numbers")
    return np.array([float(entry) for entry in entries])


def _finite(values: Any, size: int, name: str) -> Float64Array:
    array = _numbers(values, size, name)
    if not all(math.isfinite(value) for value in array):
        raise _DamagedError(f"{name} is not finite")
    return array
