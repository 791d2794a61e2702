"""The command line: what it does, what it prints, and how it fails."""

import json
import os
import select
import signal
import subprocess
import sys

import numpy as np
import pandas
import pytest
from scipy.stats import norm
from typer.testing import CliRunner

import gprat
from gprat.cli.app import app
from gprat.tables import Table

FIT = ["fit", "data.csv", "--target", "y", "--out", "model.gprat"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


def gprat_command(*arguments):
    """Run the command line in this process; it must not end with an exception."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return result


def run(*arguments):
    result = gprat_command(*arguments)
    assert result.exit_code == 0, result.output
    return result


def fail(*arguments, code=1):
    """Run a command that fails, and return what it says."""
    result = gprat_command(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    return result.stderr


def make_data(rng, n=120):
    """A target that depends on two of three features in very different units."""
    a, b, c = rng.uniform(-3, 3, n), rng.uniform(0, 1000, n), rng.uniform(size=n)
    y = 50 + np.sin(a) + b / 500 + 0.1 * rng.standard_normal(n)
    names = [f"n{i}" for i in range(n)]
    return pandas.DataFrame({"a": a, "name": names, "b": b, "c": c, "y": y})


@pytest.fixture
def data(folder, rng):
    """The data, which lie in data.csv too."""
    frame = make_data(rng)
    frame.to_csv("data.csv", index=False)
    return frame


@pytest.fixture
def model(data):
    """What fit says in JSON of a model that lies in model.gprat."""
    return json.loads(run(*FIT, "--features", "a,b", "--json").stdout)


def test_fit_info_predict(model, data, rng, folder):
    assert model["rows"] == 120
    assert model["features"] == ["a", "b"]
    assert model["training"]["converged"]
    # The noise has a standard deviation of 0.1, and the model can explain everything else.
    assert 0.05 < model["leave_one_out"]["rmse"] < 0.2
    assert 0.85 < model["leave_one_out"]["coverage"] <= 1.0

    info = json.loads(run("info", "model.gprat", "--json").stdout)
    assert info["targets"] == ["y"]
    for name in ("features", "kernel", "hyperparameters", "n", "normalized", "mean", "targets"):
        assert info[name] == model[name]
    assert not info["has_factor"]
    assert info["bytes"] == os.path.getsize("model.gprat")

    # Columns are found by their names, whatever their order.
    new = make_data(rng)[["y", "b", "name", "a"]]
    new.to_csv("new.csv", index=False)
    report = json.loads(run("predict", "model.gprat", "new.csv", "--out", "p.csv", "--json").stdout)
    predicted = pandas.read_csv("p.csv")
    assert predicted.columns.tolist() == ["mean", "std", "lower", "upper"]
    assert predicted["mean"].sub(new["y"]).abs().max() < 0.8

    loaded = gprat.load("model.gprat")
    mean, std = loaded.predict(new[["a", "b"]], return_std=True)
    np.testing.assert_allclose(predicted["mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(predicted["std"], std, rtol=1e-9)
    np.testing.assert_allclose(predicted["upper"] - mean, norm.ppf(0.975) * std, rtol=1e-7)

    # Targets are observations, with noise.
    _, std = loaded.predict(new[["a", "b"]], return_std=True, include_noise=True)
    scores = report["scores"]
    assert scores["rows"] == 120
    assert scores["rmse"] == pytest.approx(np.sqrt(np.mean((new["y"] - mean) ** 2)))
    assert scores["nlpd"] == pytest.approx(-norm.logpdf(new["y"], mean, std).mean())
    inside = np.abs(new["y"] - mean) <= norm.ppf(0.975) * std
    assert scores["coverage"] == pytest.approx(inside.mean())


def test_fit_leaves_a_table_for_people(data):
    output = run(*FIT).stdout
    for part in ("log marginal likelihood", "leave-one-out", "columns left out", "name (text"):
        assert part in output
    assert all(len(line) <= 100 for line in output.splitlines())
    assert "model" in run("info", "model.gprat").stdout
    # The length scale of b is larger than its bound; the advice names the feature.
    kernel = "RBF([1, 1, 1], (0.5, 2.0))"
    output = run(*FIT, "--kernel", kernel, "--features", "c,b,a").stdout
    assert "feature 'b' may be irrelevant" in " ".join(output.split())
    assert run(*FIT, "--quiet").output == ""


def test_many_features_do_not_flood_the_terminal(folder, rng):
    frame = pandas.DataFrame(rng.standard_normal((20, 300))).add_prefix("feature ")
    frame.assign(y=rng.standard_normal(20)).to_csv("data.csv", index=False)
    output = run(*FIT, "--optimizer", "none").stdout
    assert "300: feature 0" in output
    assert "262 more" in output
    assert len(output.splitlines()) < 80
    assert len(json.loads(run("info", "model.gprat", "--json").stdout)["hyperparameters"]) == 302


def test_the_library_learns_the_same(data, folder):
    options = ["--features", "a", "--noise", "0.5", "--mean", "linear", "--no-normalize"]
    kernel = "ConstantKernel(2.0) * Matern(length_scale=1.5, nu=2.5)"
    result = json.loads(run(*FIT, *options, "--kernel", kernel, "--json").stdout)
    estimator = gprat.GaussianProcessRegressor(
        gprat.kernels.ConstantKernel(2.0) * gprat.kernels.Matern(1.5, nu=2.5),
        noise=0.5,
        mean="linear",
        random_state=0,
    ).fit(data[["a"]], data["y"])
    expected = estimator.log_marginal_likelihood_value_
    assert result["log_marginal_likelihood"] == pytest.approx(expected)
    residuals = data["y"] - estimator.loo_.mean
    rmse = np.sqrt(np.mean(residuals**2))
    assert result["leave_one_out"]["rmse"] == pytest.approx(rmse)
    assert not result["normalized"]


@pytest.mark.parametrize(
    "options",
    [
        ["--noise", "none", "--kernel", "RBF(1.0) + WhiteKernel(0.1)"],
        ["--restarts", "2", "--seed", "3", "--threads", "1"],
        ["--optimizer", "none"],
        ["--optimizer", "adam", "--objective", "leave_one_out"],
        ["--dtype", "float32", "--include-factor"],
        ["--mean", "constant", "--max-rows", "50"],
    ],
    ids=" ".join,
)
def test_fit_takes_options(options, data):
    result = json.loads(run(*FIT, "--features", "a,b", *options, "--json").stdout)
    assert result["rows"] == (50 if "--max-rows" in options else 120)
    assert result["rows_left_out"] == 120 - result["rows"]
    assert (result["training"] is None) == ("none" in options and "--optimizer" in options)
    info = json.loads(run("info", "model.gprat", "--json").stdout)
    assert info["has_factor"] == ("--include-factor" in options)
    assert info["dtype"] == ("float32" if "float32" in options else "float64")
    assert ("noise_variance" in info["hyperparameters"]) == ("--noise" not in options)
    assert len(run("predict", "model.gprat", "data.csv").stdout.splitlines()) == 121


def test_predictions_do_not_depend_on_blocks(model, data, monkeypatch):
    run("predict", "model.gprat", "data.csv", "--out", "whole.csv")
    monkeypatch.setattr(Table, "rows_per_block", 7)
    options = ["--threads", "1", "--out", "parts.csv", "--json"]
    report = run("predict", "model.gprat", "data.csv", *options).stdout
    assert json.loads(report)["rows"] == 120
    whole, parts = pandas.read_csv("whole.csv"), pandas.read_csv("parts.csv")
    pandas.testing.assert_frame_equal(whole, parts, rtol=1e-9)


def test_predict_keeps_columns_and_adds_noise(model, data):
    options = ["--keep", "--include-noise", "--interval", "0.5"]
    output = run("predict", "model.gprat", "data.csv", *options, "--out", "p.csv").stdout
    kept = pandas.read_csv("p.csv")
    pandas.testing.assert_frame_equal(kept[data.columns], data)
    half = kept["upper"] - kept["mean"]
    np.testing.assert_allclose(half, norm.ppf(0.75) * kept["std"], rtol=1e-6)
    assert (kept["std"] > 0.05).all()
    assert "RMSE" in output
    assert "50% intervals" in output
    message = fail("predict", "model.gprat", "p.csv", "--keep", "--out", "q.csv")
    assert "column 'mean' already" in message


def test_predict_prints_to_the_standard_output(model, data):
    data.drop(columns="y").to_csv("new.csv", index=False)
    result = run("predict", "model.gprat", "new.csv")
    lines = result.stdout.splitlines()
    assert lines[0] == "mean,std,lower,upper"
    assert len(lines) == 121
    assert "RMSE" not in result.stderr
    assert run("predict", "model.gprat", "new.csv", "--quiet").stderr == ""


def test_predict_scores_the_targets_that_are_there(model, data):
    new = data.rename(columns={"y": "other"})
    new.loc[3:, "other"] = np.nan
    new.to_csv("new.csv", index=False)
    arguments = ["predict", "model.gprat", "new.csv", "--out", "p.csv", "--json"]
    assert json.loads(run(*arguments).stdout)["scores"] is None
    scores = json.loads(run(*arguments, "--target", "other").stdout)["scores"]
    assert scores["rows"] == 3
    assert len(pandas.read_csv("p.csv")) == 120


def test_models_made_in_python_predict_too(data, folder):
    X, y = data[["a", "b"]].to_numpy(), data["y"].to_numpy()
    gprat.GP(X[:, :1], y, mean="constant", noise=np.linspace(0.01, 0.1, 120)).save("gp.gprat")
    Y = np.column_stack([y, -y])
    gprat.GaussianProcessRegressor(noise=0.1, normalize_y=True).fit(X, Y).save("two.gprat")

    # Without names of features, and with noise that differs from row to row.
    assert "--features" in fail("predict", "gp.gprat", "data.csv")
    assert "1 features" in fail("predict", "gp.gprat", "data.csv", "--features", "a,b")
    options = ["--features", "a", "--target", "y", "--out", "p.csv", "--json"]
    scores = json.loads(run("predict", "gp.gprat", "data.csv", *options).stdout)["scores"]
    assert scores["rmse"] > 0
    assert scores["nlpd"] is None

    options = ["--features", "a,b", "--out", "p.csv"]
    run("predict", "two.gprat", "data.csv", *options)
    predicted = pandas.read_csv("p.csv")
    np.testing.assert_allclose(predicted["mean_0"], -predicted["mean_1"], rtol=1e-6)
    assert json.loads(run("info", "two.gprat", "--json").stdout)["n_outputs"] == 2
    assert "single target" in fail("predict", "two.gprat", "data.csv", *options, "--target", "y")


def test_parquet(model, data):
    pytest.importorskip("pyarrow", reason="Parquet needs PyArrow")
    data.to_parquet("data.parquet")
    arguments = ["fit", "data.parquet", "--target", "y", "--features", "a,b", "--json"]
    result = json.loads(run(*arguments, "--out", "m.gprat").stdout)
    assert result["log_marginal_likelihood"] == pytest.approx(model["log_marginal_likelihood"])
    run("predict", "m.gprat", "data.parquet", "--keep", "--out", "p.parquet")
    run("predict", "m.gprat", "data.csv", "--out", "p.csv")
    from_parquet, from_csv = pandas.read_parquet("p.parquet"), pandas.read_csv("p.csv")
    pandas.testing.assert_frame_equal(from_parquet[data.columns], data)
    np.testing.assert_allclose(from_parquet["mean"], from_csv["mean"], rtol=1e-9)


def test_missing_values_are_refused_or_left_out(data):
    data.loc[[5, 7], "a"] = np.nan
    data.loc[9, "y"] = np.nan
    data.to_csv("data.csv", index=False)
    features = ["--features", "a,b"]
    message = fail(*FIT, *features)
    for part in ("3 values are missing", "'a'", "line 7", "--drop-missing"):
        assert part in message
    result = json.loads(run(*FIT, *features, "--drop-missing", "--json").stdout)
    assert (result["rows"], result["rows_left_out"]) == (117, 3)
    assert "'a'" in fail("predict", "model.gprat", "data.csv", "--out", "p.csv")
    assert not os.path.exists("p.csv")
    # A missing target is no reason not to predict it.
    run("predict", "model.gprat", "data.csv", "--drop-missing", "--keep", "--out", "p.csv")
    assert len(pandas.read_csv("p.csv")) == 118


@pytest.mark.parametrize(
    ("content", "arguments", "parts"),
    [
        (None, [], ["data.csv: No such file"]),
        ("", [], ["is empty"]),
        ("a,y\n", ["--features", "a"], ["no rows"]),
        ("a,y\n", [], ["no column of numbers"]),
        ("a,Y\n1,2\n", [], ["no column 'y'", "a, Y", "mean 'Y'"]),
        ("a,y\n1,2\n", ["--features", "a,aa"], ["no column 'aa'", "a feature"]),
        ("a,y\n1,2\n", ["--features", "a,y"], ["cannot be a feature too"]),
        ("a,y\n1,2\n", ["--features", "a,a"], ["comes twice"]),
        ("y\n1\n2\n", [], ["no column of numbers besides 'y'"]),
        ("a,y\n1,2\n3,x\n", [], ["'y'", "'x'", "line 3"]),
        ("a,y\n1,2\n2,3\nx,3\n", [], ["'a'", "'x'", "line 4"]),
        ("a,y\n1,\n,2\n", ["--drop-missing"], ["every row"]),
        ("a,a,y\n1,2,3\n", [], ["more than one column 'a'"]),
        (",".join(f"c{i}" for i in range(10**6)), [], ["1,000,000 columns"]),
        ("a,y\n1,ö\n".encode("latin1"), [], ["UTF-8"]),
        ("a,y\n1,2\n", ["--kernel", "__import__('os').system('touch hacked')"], ["kernel"]),
        ("a,y\n1,2\n", ["--kernel", "open('hacked', 'w')"], ["kernel"]),
        ("a,y\n1,2\n", ["--kernel", "RBF("], ["RBF("]),
        ("a,y\n1,2\n3,4\n", ["--kernel", "RBF([1, 2])"], ["length_scale"]),
        ("a,y\n1,2\n", ["--out", "no/model.gprat"], ["no folder no"]),
        ("a,y\n1,2\n", ["--out", "data.csv"], ["is the data"]),
        ("a,y\n1,2\n", ["--separator", "ab"], ["one character"]),
        (
            "a,y\n1,2\n1,3\n",
            ["--noise", "none", "--kernel", "1e12 * RBF(1.0)", "--optimizer", "none"],
            ["positive definite"],
        ),
    ],
)  # fmt: skip
def test_fit_fails_in_words(content, arguments, parts, folder):
    if content is not None:
        text = content if isinstance(content, bytes) else content.encode()
        (folder / "data.csv").write_bytes(text)
    message = fail(*FIT, *arguments)
    assert message.startswith("gprat: ")
    assert len(message.splitlines()) <= 3
    for part in parts:
        assert part in message
    left = {file.name for file in folder.iterdir()}
    assert left == (set() if content is None else {"data.csv"})


def test_fit_says_before_it_starts_that_memory_does_not_suffice(data, monkeypatch):
    monkeypatch.setattr("gprat.planning.planner.available_memory", lambda: 1 << 20)
    message = fail(*FIT)
    assert "--max-rows" in message
    monkeypatch.undo()


def test_predict_fails_in_words(model, data, folder):
    assert "no.gprat" in fail("predict", "no.gprat", "data.csv")
    assert "no.csv" in fail("predict", "model.gprat", "no.csv")
    (folder / "broken.gprat").write_bytes(b"no model")
    assert "broken.gprat" in fail("predict", "broken.gprat", "data.csv")
    assert "broken.gprat" in fail("info", "broken.gprat")
    data[["a"]].to_csv("less.csv", index=False)
    assert "no column 'b'" in fail("predict", "model.gprat", "less.csv")
    assert "no folder" in fail("predict", "model.gprat", "data.csv", "--out", "no/p.csv")
    assert "must end with" in fail("predict", "model.gprat", "data.csv", "--out", "p.xlsx")
    assert "knows its features" in fail("predict", "model.gprat", "data.csv", "--features", "a,b")
    assert "no column 'z'" in fail("predict", "model.gprat", "data.csv", "--target", "z")
    (folder / "empty.csv").write_text("a,b\n")
    assert "no rows" in fail("predict", "model.gprat", "empty.csv", "--out", "p.csv")
    assert not os.path.exists("p.csv")


def test_plan(folder):
    arguments = ["plan", "--n", "20000", "--d", "8", "--m", "100", "--what", "variance"]
    result = json.loads(run(*arguments, "--memory", "1.5GiB", "--json").stdout)
    assert result == gprat.planning.plan(20_000, 8, 100, what="variance", memory=3 << 29).as_dict()
    assert not result["fits"]
    assert "20,000 training points" in run(*arguments).stdout
    assert "test points" in fail("plan", "--n", "10", "--what", "variance")
    assert "at most" in fail("plan", "--n", "1000000000000")


def test_plan_of_a_cluster(folder):
    arguments = ["plan", "--n", "4000", "--workers", "4", "--threads", "2", "--block-size", "504"]
    network = ["--bandwidth", "12.5", "--latency", "0.1", "--memory", "1GiB"]
    result = json.loads(run(*arguments, *network, "--json").stdout)
    given = {"workers": 4, "threads": 2, "block_size": 504, "memory": 1 << 30}
    expected = gprat.planning.plan(4000, bandwidth=12.5e9, latency=1e-4, **given)
    assert result == expected.as_dict()
    assert "on 4 workers of 2 threads" in run(*arguments).stdout
    assert "What would fit" in fail(*arguments, "--memory", "210MiB")
    spilling = run(*arguments, "--memory", "400MiB", "--disk-bandwidth", "1").stdout
    assert "are written" in spilling
    assert "workers=8" in fail("plan", "--n", "100", "--bandwidth", "1")


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "data.csv"],
        ["fit", "data.csv", "--target", "y", "--out", "m", "--noise", "-1"],
        ["fit", "data.csv", "--target", "y", "--out", "m", "--noise", "loud"],
        ["fit", "data.csv", "--target", "y", "--out", "m", "--mean", "cubic"],
        ["fit", "data.csv", "--target", "y", "--out", "m", "--features", "a,,b"],
        ["fit", "data.csv", "--target", "y", "--out", "m", "--restarts", "-1"],
        ["predict", "m", "d.csv", "--interval", "1.5"],
        ["predict", "m", "d.csv", "--json"],
        ["plan", "--n", "0"],
        ["plan", "--n", "1e5"],
        ["plan", "--n", "10", "--memory", "much"],
        ["plan", "--n", "10", "--memory", "0"],
        ["plan", "--n", "10", "--threads", "0"],
        ["no-such-command"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(arguments, folder):
    assert "Usage" in fail(*arguments, code=2)


@pytest.mark.parametrize("command", ["fit", "predict", "plan", "info"])
def test_help_has_examples(command):
    assert f"gprat {command} " in run(command, "--help").stdout.split("Examples:")[1]


def test_version():
    assert run("--version").stdout == f"gprat {gprat.__version__}\n"


def start(*arguments, **options):
    command = [sys.executable, "-m", "gprat.cli", *arguments]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)


def test_the_module_runs_as_a_program(folder):
    process = start("info", "no.gprat", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert err.startswith("gprat: ")
    assert "Traceback" not in err


def read_until(file, wanted, seconds):
    """Read what a terminal shows until it has some text, or nothing comes for some seconds."""
    seen = b""
    while wanted not in seen and select.select([file], [], [], seconds)[0]:
        try:
            chunk = os.read(file, 4096)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        seen += chunk
    return seen


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_ctrl_c_leaves_no_file(folder, rng):
    make_data(rng, 1500).to_csv("data.csv", index=False)
    terminal, child = os.openpty()
    try:
        process = start(*FIT, "--restarts", "500", "--threads", "1", stdout=child, stderr=child)
        os.close(child)
        seen = read_until(terminal, b"iteration", 60)
        assert b"iteration" in seen, seen
        process.send_signal(signal.SIGINT)
        seen = read_until(terminal, b"no file was written", 60)
        assert process.wait(timeout=60) == 130
    finally:
        os.close(terminal)
    assert b"interrupted; no file was written" in seen
    assert b"Traceback" not in seen
    assert [file.name for file in folder.iterdir()] == ["data.csv"]


def test_ctrl_c_leaves_the_old_predictions(model, data, folder, monkeypatch):
    (folder / "p.csv").write_text("old")
    monkeypatch.setattr(Table, "rows_per_block", 50)
    predict = gprat.GaussianProcessRegressor.predict
    calls = []

    def interrupted(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return predict(*arguments, **options)

    monkeypatch.setattr(gprat.GaussianProcessRegressor, "predict", interrupted)
    before = sorted(folder.iterdir())
    message = fail("predict", "model.gprat", "data.csv", "--out", "p.csv", code=130)
    assert "interrupted" in message
    assert (folder / "p.csv").read_text() == "old"
    assert sorted(folder.iterdir()) == before
