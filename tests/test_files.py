"""Files that are replaced as a whole: no litter adds up, and nobody's file is touched."""

import fcntl
import multiprocessing
import os
import threading

import pytest

from gprat import _files
from gprat._files import (
    NotRegularError,
    open_regular,
    read_regular,
    temporary_beside,
    write_atomically,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


def names(path):
    return sorted(file.name for file in path.parent.iterdir())


def abandon(path):
    """Leave a temporary file behind, as a process that is killed does."""

    def work():
        with temporary_beside(path) as temporary:
            temporary.write_bytes(b"half")
            os.kill(os.getpid(), 9)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == -9


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_what_killed_processes_leave_does_not_add_up(path):
    write_atomically(path, lambda file: file.write(b"old"))
    for _ in range(3):
        abandon(path)
        assert len(names(path)) == 2
        assert path.read_bytes() == b"old"
    write_atomically(path, lambda file: file.write(b"new"))
    assert names(path) == ["file"]
    assert path.read_bytes() == b"new"


def test_each_has_a_file_of_its_own(path):
    with (
        temporary_beside(path) as one,
        temporary_beside(path) as two,
        temporary_beside(path.with_name("other")) as three,
    ):
        assert len({one, two, three}) == 3
        one.write_bytes(b"1")
        two.write_bytes(b"2")
        two.replace(path)
        assert (one.read_bytes(), path.read_bytes()) == (b"1", b"2")
    assert names(path) == ["file"]


def test_a_name_that_was_given_up_may_belong_to_somebody_else(path):
    with temporary_beside(path) as one:
        one.replace(path)
        with temporary_beside(path) as two:
            assert two == one
            two.write_bytes(b"mine")
            # As at the end of the outer block.
            lock = path.open("rb", buffering=0)
            assert not _files._is_at(lock, one)
            lock.close()
            assert two.read_bytes() == b"mine"
    assert names(path) == ["file"]


def test_many_at_a_time(path):
    def write(number):
        for _ in range(20):
            write_atomically(path, lambda file: file.write(bytes([number]) * 10_000))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(path) == ["file"]
    assert len(set(path.read_bytes())) == 1


def test_more_than_there_are_names(path, monkeypatch):
    monkeypatch.setattr(_files, "_MOST_SLOTS", 1)
    with temporary_beside(path) as one, temporary_beside(path) as two:
        assert one != two
    assert names(path) == []


def test_file_systems_without_locks(path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for content in (b"1", b"2"):
        write_atomically(path, lambda file, content=content: file.write(content))
    assert names(path) == ["file"]
    assert path.read_bytes() == b"2"


@pytest.mark.parametrize("kind", ["folder", "link", "file in use"])
def test_what_is_not_ours_stays(kind, path, tmp_path):
    with temporary_beside(path) as name:
        pass
    precious = tmp_path / "precious"
    precious.write_bytes(b"kept")
    if kind == "folder":
        name.mkdir()
    elif kind == "link":
        name.symlink_to(precious)
    else:
        name.write_bytes(b"kept")
    with name.open("rb") if kind == "file in use" else precious.open("rb") as used:
        fcntl.flock(used, fcntl.LOCK_EX)
        write_atomically(path, lambda file: file.write(b"new"))
        assert os.path.lexists(name)
    assert (path.read_bytes(), precious.read_bytes()) == (b"new", b"kept")


def test_only_regular_files_are_read(path, tmp_path):
    os.mkfifo(path)
    for wrong in (path, tmp_path, "/dev/zero"):
        with pytest.raises(NotRegularError, match="no regular file"):
            open_regular(type(path)(wrong))
    path.unlink()
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    with pytest.raises(ValueError, match="more than 4 bytes"):
        read_regular(path, 4)
    (tmp_path / "link").symlink_to(path)
    assert read_regular(tmp_path / "link", 5) == b"12345"


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(path, monkeypatch):
    path.write_bytes(b"")
    status = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(type(path), "stat", lambda self, **_: status)
    with pytest.raises(NotRegularError):
        open_regular(path)
