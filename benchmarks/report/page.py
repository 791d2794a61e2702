"""The documentation's page of performance and the README's table, from the JSON files alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from benchmarks import ROOT
from benchmarks.record import Record
from benchmarks.report.readme import table
from benchmarks.report.style import LABELS, seconds
from benchmarks.report.tables import find_row, markdown

__all__ = ["render"]

PAGE = ROOT / "docs/performance.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- performance: begin -->", "<!-- performance: end -->"

INTRODUCTION = """\
# Performance

How fast gprat is, how little memory it takes and how well it predicts, beside other libraries for
exact Gaussian processes, and beside what the machine can do at best. Everything on this page is
generated from files that the suite has written; run it on your own machine:

```sh
make native-test                                # the yardsticks, compiled
python -m benchmarks peers install              # each peer in an environment of its own
python -m benchmarks all --data FOLDER          # every study; or one: python -m benchmarks headline
python -m benchmarks render                     # this page
```
"""

RULES = """\
## Rules

- **The same problem.** Data, kernel, hyperparameters, noise and precision are the same for all.
  Inputs are the last forces on a chain of four carts joined by hardening springs, and the target
  is the position of the last one, standardised.
- **Results before times.** Values, gradients, means, variances and covariances of every peer are
  compared with ours: above a relative difference of 1e-7 in double precision there is an error and
  no time. Approximations are marked, and not compared.
- **The same processors.** Every peer is a process of its own, bound to as many processors as it
  may use threads. The variables that set threads of BLAS, OpenMP, TensorFlow and XLA have that
  number; those that choose kernels are unset.
- **All the work.** Every call begins with data and hyperparameters, as the library wants them, and
  has nothing computed. What libraries keep between calls is listed below, with how it is kept out.
- **In turn.** After a first call that isn't counted, repetitions go round the peers, with a pause
  before each, since threads of a BLAS go on spinning after their turn. Where a first call takes
  more than five seconds, and compiles nothing, it counts. Tables give medians; the files have all
  samples.
- **Limits.** A call that takes more than 40 s, or more than 85 % of the free memory, is
  stopped, and the table says so. A peer that is expected to, by its time at the size before, isn't
  tried.
- **Memory** is the system's account of the peak of a fresh process.
"""


def render(studies: Sequence[ModuleType], results: Path) -> list[Path]:
    """Write the page and the README's table; return what was written.

    Studies whose file is missing are left out. The table needs that of the headline study.
    """
    records = [
        (study, Record.read(results / f"{study.NAME}.json"))
        for study in studies
        if (results / f"{study.NAME}.json").exists()
    ]
    if not records:
        raise SystemExit(f"{results} has no results: run python -m benchmarks all.")
    PAGE.write_text(page(records))
    written = [PAGE]
    by_name = {study.NAME: record for study, record in records}
    if "headline" in by_name:
        README.write_text(insert(README.read_text(), table(by_name)))
        written.append(README)
    return written


def page(records: Sequence[tuple[ModuleType, Record]]) -> str:
    """Return the whole page."""
    parts = [INTRODUCTION, where_ours_is_slower([record for _, record in records]), RULES]
    parts += [caches([record for _, record in records])]
    for study, record in records:
        parts.append(
            f"## {study.TITLE}\n\n![{study.TITLE}](images/performance/{study.NAME}.png)\n\n"
            f"{study.section(record)}\n\n{provenance(record)}"
        )
    return "\n\n".join(part.strip() for part in parts) + "\n"


def insert(text: str, block: str) -> str:
    """Return the text with a block between the two markers."""
    if BEGIN not in text or END not in text:
        raise SystemExit(f"README.md has no place for the table: {BEGIN} … {END}.")
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n\n{block}\n\n{END}{after}"


def where_ours_is_slower(records: Sequence[Record]) -> str:
    """Tell every measurement in which an exact peer was faster."""
    rows = []
    for record in records:
        for row in record.rows:
            peer = row.get("peer")
            about = record.peers.get(str(peer), {})
            if peer in (None, "gprat", "gprat-float32", "lapack") or "median" not in row:
                continue
            same = {key: row[key] for key in ("n", "m", "d", "ard", "operation")}
            ours = find_row(record, peer="gprat", **same)
            if ours is None or about.get("approximate") or row["median"] >= ours["median"]:
                continue
            rows.append(
                [
                    str(row["operation"]).replace("_", " and ", 1).replace("_", " "),
                    f"n = {row['n']:,}, d = {row['d']}",
                    LABELS[peer],
                    seconds(row["median"]),
                    seconds(ours["median"]),
                ]
            )
    if not rows:
        return (
            "## Where others are faster\n\nIn no measurement of this page was an exact peer faster."
        )
    header = ["operation", "problem", "peer", "its time", "ours"]
    return "## Where others are faster\n\n" + markdown(header, rows, left=3)


def caches(records: Sequence[Record]) -> str:
    """Tell who takes part, with versions and what each keeps between calls."""
    about = {name: peer for record in records for name, peer in record.peers.items()}
    rows = [
        [
            LABELS[name],
            ", ".join(f"{library} {version}" for library, version in peer["versions"].items()),
            peer["caches"],
        ]
        for name, peer in about.items()
    ]
    return "## Who takes part, and what each keeps\n\n" + markdown(
        ["", "versions", "between calls"], rows, left=3
    )


def short(commit: str | None) -> str:
    """Return enough of a commit to know it."""
    return commit[:10] if commit else "an archive"


def provenance(record: Record) -> str:
    """Tell machine, commit and date of a record."""
    machine, source = record.machine, record.source
    peak = machine["fma_gflops"]
    commit = short(source["commit"])
    changed = ", with changes" if source["modified"] else ""
    return (
        f"*Measured {record.date} on {machine['processors']} processors ({machine['processor']}, "
        f"{machine['memory_gib']:g} GiB"
        + (f", FMA peak {peak:.0f} GF/s" if peak is not None else "")
        + f"), {record.settings['threads']} threads, at commit {commit}{changed}, in "
        f"{record.seconds / 60:.0f} min. Python {machine['python']}, NumPy "
        f"{record.versions['numpy']}, SciPy {record.versions['scipy']}."
        + "".join(
            f" Later, {run['date']}, at commit {short(run['commit'])}: n = "
            f"{', '.join(f'{n:,}' for n in run['sizes'])}."
            for run in record.extra.get("later", [])
        )
        + "*"
    )
