"""Records of campaigns are of one commit."""

import json

from campaigns.record import read_result, write_result


def test_what_is_read_is_of_this_commit(tmp_path):
    assert read_result("none", tmp_path) == {}
    path = write_result("some", {"found": 3}, tmp_path)
    assert read_result("some", tmp_path)["found"] == 3
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"commit": "another"}))
    assert read_result("some", tmp_path) == {}
