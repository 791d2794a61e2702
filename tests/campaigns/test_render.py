"""The page about the tests tells what campaigns recorded, and nothing else."""

import json

from campaigns.record import RESULTS
from campaigns.render import CAMPAIGNS, PAGE, page


def test_the_page_is_that_of_the_records():
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_record_is_on_the_page():
    names = {json.loads(path.read_text())["campaign"] for path in RESULTS.glob("*.json")}
    assert names <= {campaign.name for campaign in CAMPAIGNS}


def test_figures_of_every_shape(tmp_path):
    records = {
        "stress": {"seed": 5, "graphs": 1234, "operations": 60},
        "sanitize": {
            "thread": {"tests": 7, "stress": {"graphs": 99}},
            "python": {"files": ["a.py"], "passed": 1050},
        },
        "faults_memory": {"native": [{"faults": 1500, "leaked": 0}], "python": {"faults": 12}},
    }
    for name, figures in records.items():
        record = {"campaign": name, "date": "2026-01-01T00:00:00+00:00", **figures}
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    text = page(tmp_path)
    assert ": 1,234 graphs, 60 operations." in text
    assert "thread: 7 test programs, 99 random graphs; Python: 1,050 tests." in text
    assert "1,500 failures in C++, 0 leaks; 12 from Python" in text
