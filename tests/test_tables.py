"""Tables in files: what is read is what was written, and errors say where."""

import bz2
import gzip
import lzma
import os
import sys
import time

import numpy as np
import pandas
import pytest

from gprat import tables
from gprat.exceptions import InvalidInputError
from gprat.tables import (
    Gaps,
    Table,
    check_output,
    collect,
    numeric_columns,
    open_output,
    open_table,
    read,
)


@pytest.fixture
def write(tmp_path):
    """Write a file and return its path."""

    def write(content, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def small_blocks(monkeypatch):
    """Read three rows at a time."""
    monkeypatch.setattr(Table, "rows_per_block", 3)


def numbers(path, names, **options):
    return np.concatenate([rows.numbers for rows in read(open_table(path, **options), names)])


def error(path, names=("a",), **options):
    with pytest.raises(InvalidInputError) as caught:
        list(read(open_table(path, **options), names))
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def random_frame(rng, n):
    return pandas.DataFrame(
        {
            "a": rng.standard_normal(n) * 10.0 ** rng.integers(-300, 300, n),
            "b": rng.integers(-(2**52), 2**52, n),
            "text": [f"x,{i}\n" for i in range(n)],
        }
    )


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "t.tsv.bz2", "t.csv.xz", "T.CSV"])
def test_text_survives_the_round_trip(name, tmp_path, rng, small_blocks):
    frame = random_frame(rng, 10)
    path = tmp_path / name
    with open_output(path) as put:
        put(frame[:4])
        put(frame[4:])
    np.testing.assert_array_equal(numbers(path, ["b", "a"]), frame[["b", "a"]].to_numpy())
    kept = pandas.concat([rows.block for rows in read(open_table(path), ["a"])])
    assert kept["text"].tolist() == frame["text"].tolist()
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["t.parquet", "t.pq"])
def test_parquet_survives_the_round_trip(name, tmp_path, rng, small_blocks):
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs PyArrow")
    frame = random_frame(rng, 10)
    frame["whole"] = pandas.array([None, *range(9)], dtype="Int64")
    frame["flag"] = frame["b"] > 0
    path = tmp_path / name
    with open_output(path) as put:
        put(frame[:4])
        put(frame[4:])
    np.testing.assert_array_equal(numbers(path, ["b", "a"]), frame[["b", "a"]].to_numpy())
    expected = frame[["whole", "flag"]].to_numpy(dtype=float, na_value=np.nan)
    np.testing.assert_array_equal(numbers(path, ["whole", "flag"]), expected)

    # What was read can be written, with the types it had.
    again = tmp_path / f"again-{name}"
    with open_output(again) as put:
        for rows in read(open_table(path), ["a"]):
            put(rows.block)
    assert parquet.read_table(again).equals(parquet.read_table(path))


@pytest.mark.parametrize(
    ("suffix", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_compressed_text_is_read(suffix, compress, write):
    path = write(compress(b"a,b\n1,2\n"), f"data.csv.{suffix}")
    assert numbers(path, ["b"]).tolist() == [[2.0]]
    cut = write(compress(b"a,b\n" + bytes(str(np.arange(5000)), "ascii"))[:40], f"cut.csv.{suffix}")
    assert "cannot be read" in error(cut)


def test_small_differences_between_files_do_not_matter(write):
    expected = [[1.0, 2.0], [3.0, np.nan]]
    for content in (
        "a,b\n1,2\n3,\n",
        "a,b\r\n1,2\r\n3,NA\r\n",
        "\ufeffa,b\n1,2\n3,\n",
        "\n a , b\n 1, 2\n\n3\n   \n",
        "b,a\n2,1\n,3",
        '"a","b"\n"1","2"\n3,"nan"\n',
    ):
        np.testing.assert_array_equal(numbers(write(content), ["a", "b"]), expected)
    semicolons = write("a;b\n1;2\n3;\n")
    np.testing.assert_array_equal(numbers(semicolons, ["a", "b"], separator=";"), expected)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("a,b\n1,2\nx,4\n", ["'a'", "'x'", "line 3"]),
        ("a,b\n1,2\n\n\nx,4\n", ["'x'", "line 5"]),
        ('a,b\n1,"two\nlines"\nx,4\n', ["'x'", "line 4"]),
        ("a,b\n1,2\n2,2\n3,2\n4,2\nlast,2\n", ["'last'", "line 6"]),
        ('a,b\n"1,5",2\n', ["'1,5'", "line 2"]),
        ("a\ninf\n", ["'inf'", "line 2", "finite"]),
        ("a\n1e400\n", ["'1e400'", "line 2", "number"]),
        ("a\nTrue\n", ["'True'"]),
        (f"a\n{'z' * 500}\n", ["zzz..."]),
        ("a,b\n1,2,3\n", ["more cells"]),
        ("a,b\n1,2\n1,2,3\n", ["line 3"]),
        ('a,b\n1,"2\n3,4\n', ["EOF inside string"]),
        ("a,a\n1,2\n", ["more than one column 'a'"]),
        ("a,\n1,2\n", ["column 2", "no name"]),
        ("", ["is empty"]),
        ("\n\n", ["is empty"]),
        ("a,\xf6\n1,2\n".encode("latin1"), ["UTF-8", "0xf6", "LATIN1"]),
        ("a,b\n1,\xf6\n".encode("latin1"), ["UTF-8", "0xf6"]),
        ("a,b\n1,2\n".encode("utf-16"), ["UTF-16"]),
        (b"PAR1\x00\xff\x00", ["Parquet"]),
    ],
)
def test_errors_say_where(content, parts, write, small_blocks):
    message = error(write(content))
    for part in parts:
        assert part in message


@pytest.mark.parametrize("content", [",".join(f"c{i}" for i in range(10**6)), "x" * (1 << 25)])
def test_a_million_columns_end_soon(content, write):
    path = write(content)
    start = time.perf_counter()
    error(path)
    # No comparison of timings: half a minute means that it hangs.
    assert time.perf_counter() - start < 30.0


def test_parquet_errors_say_where(tmp_path, write):
    pytest.importorskip("pyarrow", reason="Parquet needs PyArrow")
    path = tmp_path / "t.parquet"
    times = pandas.to_datetime(["2020-01-01", "2021-01-01"])
    pandas.DataFrame({"text": [None, "x"], "time": times}).to_parquet(path)
    assert "'x' in row 2" in error(path, ["text"])
    assert "2020-01-01" in error(path, ["time"])
    assert "cannot be read" in error(write("a,b\n", "no.parquet"))


def test_missing_columns_are_named(write):
    table = open_table(write("alpha,beta\n1,2\n"))
    table.require(["beta", "alpha"], "a feature")
    with pytest.raises(InvalidInputError, match=r"no column 'alhpa'.*alpha, beta.*mean 'alpha'"):
        table.require(["alhpa"], "the target")
    wide = open_table(write(",".join(f"c{i}" for i in range(300)) + "\n"))
    with pytest.raises(InvalidInputError, match="and 280 more"):
        wide.require(["y"], "the target")
    with pytest.raises(InvalidInputError, match="separator"):
        open_table(write("y;x\n1;2\n")).require(["y"], "the target")


@pytest.mark.parametrize("name", ["t.xlsx", "t", "t.parquet.gz", "t.gz"])
def test_other_kinds_of_files_are_refused(name, tmp_path):
    with pytest.raises(InvalidInputError, match=r"must end with \.csv"):
        open_table(tmp_path / name)


@pytest.mark.parametrize("separator", ["", ";;", '"', "\n"])
def test_separators_are_one_character(separator, write):
    with pytest.raises(InvalidInputError, match="one character"):
        open_table(write("a\n1\n"), separator)


def test_missing_files_are_the_systems_errors(tmp_path):
    for name in ("no.csv", "no.parquet"):
        with pytest.raises(FileNotFoundError):
            open_table(tmp_path / name)


def test_numeric_columns_are_those_without_text(write):
    path = write("a,b,c,d,y\n1,q,,2.5,3\n2,r,,,4\n")
    names, others = numeric_columns(open_table(path), leave_out=["y"])
    assert names == ["a", "d"]
    assert others == {"b": "text, such as 'q'", "c": "empty"}


def test_a_column_with_a_mistake_is_not_left_out(write):
    table = open_table(write("a,b\n1,2\n2,3\n3,oops\n"))
    with pytest.raises(InvalidInputError, match=r"'b'.*'oops' in line 4"):
        numeric_columns(table)


def test_gaps_are_counted_and_found(write, small_blocks):
    path = write("a,b,c\n1,2,\n1,2,\n1,2,\n1,2,\n1,,\n,,\n")
    table = open_table(path)
    gaps = Gaps(table, ["a", "b"])
    complete = [gaps.count(rows) for rows in read(table, ["a", "b"])]
    assert np.concatenate(complete).tolist() == [True] * 4 + [False] * 2
    assert (gaps.n_values, gaps.n_rows) == (3, 2)
    with pytest.raises(InvalidInputError, match=r"3 values are missing.*'b', line 6"):
        gaps.refuse()
    Gaps(table, ["a"]).refuse()


def test_samples_are_fair_and_in_order(rng):
    blocks = np.split(np.arange(40.0).reshape(20, 2), [3, 4, 15])
    np.testing.assert_array_equal(collect(blocks, None, rng), np.concatenate(blocks))
    np.testing.assert_array_equal(collect(blocks, 20, rng), np.concatenate(blocks))
    counts = np.zeros(20)
    for _ in range(2000):
        rows = collect(blocks, 5, rng)[:, 0]
        assert (np.diff(rows) > 0).all()
        counts[(rows / 2).astype(int)] += 1
    # Each row is drawn with probability ¼: 500 times, give or take five standard deviations.
    assert np.abs(counts - 500).max() < 5 * np.sqrt(2000 * 0.25 * 0.75)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_failure_leaves_the_old_file(name, tmp_path):
    path = tmp_path / name
    path.write_text("old")
    frame = pandas.DataFrame({"a": [1.0]})

    def fail():
        with open_output(path) as put:
            put(frame)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_output_is_checked_before_the_work(tmp_path):
    check_output(tmp_path / "new.csv")
    with pytest.raises(InvalidInputError, match="no folder"):
        check_output(tmp_path / "no" / "new.csv")
    with pytest.raises(InvalidInputError, match="is no file"):
        check_output(tmp_path)


def test_missing_packages_are_named(monkeypatch, write):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"gprat\[parquet\]"):
        open_table(write("", "t.parquet"))
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"gprat\[cli\]"):
        next(open_table(write("a\n1\n")).blocks())


def test_standard_output_gets_csv(capsys):
    with tables.open_output(None) as put:
        put(pandas.DataFrame({"a": [0.1], "b": ["x,y"]}))
        put(pandas.DataFrame({"a": [2.0], "b": [None]}))
    assert capsys.readouterr().out == 'a,b\n0.1,"x,y"\n2.0,\n'


@pytest.mark.parametrize("name", ["pipe.csv", "endless.csv", "pipe.parquet", "endless.csv.gz"])
def test_pipes_and_devices_are_refused(name, tmp_path):
    path = tmp_path / name
    if name.startswith("pipe"):
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(InvalidInputError, match="is no regular file"):
        open_table(path)


@pytest.mark.parametrize("lines", ["x", "x\n"])
def test_small_files_do_not_unpack_into_endless_cells(lines, tmp_path, monkeypatch):
    monkeypatch.setattr(tables.text, "_LARGEST_BLOCK", 1 << 20)
    path = tmp_path / "bomb.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write('a,b\n1,2\n"' + lines * (1 << 21) + '",3\n')
    assert path.stat().st_size < 1 << 16
    with pytest.raises(InvalidInputError, match="cells that are too long"):
        list(open_table(path).blocks())
