"""The connection to Dask's scheduler: what is expected of it and of the workers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from importlib.metadata import version
from textwrap import shorten
from typing import TYPE_CHECKING, Any, cast

from gprat.exceptions import ClusterError, InvalidInputError, UnsupportedTypeError

if TYPE_CHECKING:
    from distributed import Client

__all__ = [
    "check_client",
    "check_workers",
    "failures_of_cluster_explained",
    "release_in_order",
    "teach_scheduler",
]

_MANY = 3


def check_client(client: Any) -> Client:
    """Return the client if it can be used.

    Raises
    ------
    ImportError
        If Dask's ``distributed`` is not installed.
    UnsupportedTypeError
        If it is no client.
    InvalidInputError
        If there is none, or it is asynchronous.
    ClusterError
        If it is closed, or its scheduler does not answer.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError(
            'engine="cluster" needs Dask. Install it with: pip install "gprat[cluster]"'
        ) from error
    if client is None:
        raise InvalidInputError(
            'engine="cluster" needs a client that is connected to a cluster. Pass '
            "client=distributed.Client(address), or distributed.Client() for one on this machine."
        )
    if not isinstance(client, Client):
        raise UnsupportedTypeError(
            f"client must be a distributed.Client, got {type(client).__name__}."
        )
    if client.asynchronous:
        raise InvalidInputError(
            "client must not be asynchronous: results are waited for. Pass "
            "distributed.Client(address) without asynchronous=True."
        )
    if client.status != "running":
        raise ClusterError(
            f"the client is {client.status}. Connect a new one, distributed.Client(address), and "
            "give it to the model."
        )
    return client


def check_workers(client: Client) -> list[str]:
    """Return the addresses of the workers, all of which have this version of gprat.

    Raises
    ------
    ClusterError
        If there is no worker, or one, or the scheduler, has no gprat or another version of it.
    """
    addresses = list(client.nthreads())
    if not addresses:
        raise ClusterError(
            "the cluster has no worker. Start some, with dask worker or cluster.scale(2), and wait "
            "for them with client.wait_for_workers(2)."
        )
    ours = version("gprat")
    found = client.run(_version_finder(), on_error="return")
    scheduler = f"the scheduler at {client.scheduler_info()['address']}"
    everywhere = {scheduler: client.run_on_scheduler(_version_finder()), **found}
    wrong = {address: is_there for address, is_there in everywhere.items() if is_there != ours}
    if wrong:
        named = "; ".join(
            f"{address} has {_describe(is_there)}"
            for address, is_there in list(wrong.items())[:_MANY]
        )
        more = f"; and {len(wrong) - _MANY} more" if len(wrong) > _MANY else ""
        raise ClusterError(
            f"the scheduler and every worker must have gprat {ours}, as this process has: "
            f"{named}{more}. Install it "
            f'there: pip install "gprat[cluster]=={ours}"'
        )
    return list(found)


def teach_scheduler(client: Client) -> None:
    """Give the scheduler the plugin that tasks with owners need, if it hasn't got it."""
    from gprat.engines.cluster.scheduling import OwnersThatAreGone

    client.register_plugin(OwnersThatAreGone())


@contextmanager
def failures_of_cluster_explained() -> Iterator[None]:
    """Turn what Dask says of a cluster that is gone into an error of ours."""
    from distributed.scheduler import KilledWorker

    try:
        yield
    except KilledWorker as error:
        raise ClusterError(
            f"the cluster lost every worker that tried to compute a block: {error}. Workers that "
            "run out of memory are killed: use more workers, or a smaller block_size."
        ) from _without_frames(error)
    except CancelledError as error:
        raise ClusterError(
            "the computation was cancelled, as when a cluster is restarted or its scheduler is "
            f"lost. The model itself is unchanged: call again, with a client that is connected. "
            f"({shorten(str(error), 160)})"
        ) from _without_frames(error)
    except OSError as error:
        raise ClusterError(
            f"the cluster no longer answers: {type(error).__name__}: {error}. The model itself is "
            "unchanged: give it a client that is connected, and call again."
        ) from _without_frames(error)


def _without_frames(error: BaseException) -> BaseException:
    """Return the error without its frames, some of which hold it, and with it a factor."""
    return error.with_traceback(None)


def release_in_order(client: Client, keys: Sequence[Hashable]) -> None:
    """Tell the scheduler that results are not wanted, behind all that the client told it before.

    Releasing futures does so too, but not after a restart of the cluster: they have been cancelled
    then, though graphs may be on their way that the scheduler has not seen and will compute.
    """
    message = {"op": "client-releases-keys", "keys": list(keys), "client": client.id}

    def send() -> None:
        # Where the connection is lost, the scheduler releases all that this client wanted.
        with suppress(Exception):
            cast(Any, client.scheduler_comm).send(message)

    if client.status == "running":
        cast(Any, client.loop).add_callback(send)


def _version_finder() -> Callable[[], str | None]:
    """Return a function that travels as code, since workers may have no gprat to find it in."""

    def find() -> str | None:
        from importlib import metadata

        try:
            return metadata.version("gprat")
        except metadata.PackageNotFoundError:
            return None

    return find


def _describe(found: Any) -> str:
    if isinstance(found, BaseException):
        return f"failed to tell its version ({type(found).__name__}: {found})"
    return "no gprat" if found is None else f"gprat {found}"
