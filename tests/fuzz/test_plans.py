"""Plans, simulations, diagnostics and tables of anything: sensible numbers, or clear errors."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

import gprat
from fuzz.journal import documented, fuzzed
from fuzz.strategies_arrays import nasty
from fuzz.strategies_text import cells
from gprat.diagnostics import diagnose_predictions
from gprat.tables import open_table
from gprat.tables.numbers import numeric_columns, read

sizes = st.one_of(
    st.integers(-2, 3000), st.integers(1, 10**9), st.sampled_from([2**31, 2**63, 10**30])
)
operations = st.sampled_from(["fit", "predict", "variance", "covariance"])


@fuzzed(
    weight=2.0,
    n=sizes,
    d=sizes,
    m=sizes,
    what=operations,
    more=st.fixed_dictionaries(
        {},
        optional={
            "n_outputs": sizes,
            "n_hyperparameters": sizes,
            "threads": sizes,
            "tile_size": sizes,
            "memory": sizes,
            "dtype": st.sampled_from(["float32", "float64"]),
        },
    ),
)
def test_plans(n, d, m, what, more):
    with documented():
        plan = gprat.plan(n, d, m, what=what, calibrate=False, **more)
        assert plan.peak_bytes > 0
        assert plan.flops > 0
        assert plan.n_tasks > 0
        assert 1 <= plan.tile_size <= max(n, 1)
        assert plan.largest_n >= n if plan.fits else plan.largest_n < n
        assert str(plan)


@fuzzed(
    n=st.integers(-1, 300),
    m=st.integers(-1, 100),
    what=operations,
    threads=st.sampled_from([0, 1, 2, 7, 4096, 4097]),
    tile=st.one_of(st.just("auto"), st.integers(-1, 400)),
    bandwidth=st.one_of(st.none(), st.floats()),
)
def test_simulations(n, m, what, threads, tile, bandwidth):
    # Tiles of one row each make millions of tasks, which is no part of this test.
    tile = tile if tile == "auto" or tile < 1 else max(tile, n // 24)
    with documented():
        simulation = gprat.simulate(
            n, 2, m, what=what, threads=threads, tile_size=tile, bandwidth=bandwidth
        )
        assert np.isfinite(simulation.makespan)
        assert simulation.makespan > 0
        assert 0 < simulation.efficiency <= 1 + 1e-9
        assert str(simulation)


finite = st.floats(allow_nan=False, allow_infinity=False)


@fuzzed(
    y=st.lists(st.one_of(finite, st.just(np.nan)), min_size=1, max_size=6),
    mean=finite,
    std=st.floats(),
    levels=st.one_of(st.none(), st.lists(st.floats(), max_size=3), nasty),
)
def test_diagnostics(y, mean, std, levels):
    n = len(y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with documented():
            found = diagnose_predictions(y, np.full(n, mean), np.full(n, std), levels=levels)
            assert str(found)
            assert found.n == np.isfinite(y).sum()
            assert not np.isnan([found.rmse, found.mae, found.nlpd]).any()


@fuzzed(
    weight=3.0,
    header=st.lists(cells, min_size=1, max_size=4),
    rows=st.lists(st.lists(cells, min_size=1, max_size=5), max_size=5),
    separator=st.sampled_from([",", ";", "\t", " "]),
    codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    given_separator=st.booleans(),
)
def test_text_tables(header, rows, separator, codec, given_separator):
    text = "\n".join(separator.join(row) for row in [header, *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_bytes(text.encode(codec, errors="replace"))
        with documented():
            table = open_table(path, separator if given_separator else None)
            names, _ = numeric_columns(table)
            if names:
                blocks = list(read(table, names))
                assert all(rows.numbers.shape == (len(rows.block), len(names)) for rows in blocks)
