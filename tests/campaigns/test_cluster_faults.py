"""The campaign of clusters in trouble, in short."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# In a process of its own, which may be interrupted.
PROGRAM = """
import warnings
import numpy as np
from campaigns.cluster_faults import WORKERS, Campaign, figures, lose_schedulers
from campaigns.cluster_scene import Workload, started

warnings.simplefilter("ignore")

if __name__ == "__main__":
    seed = int(np.random.default_rng().integers(1 << 30))
    campaign = Campaign(np.random.default_rng(seed), Workload(n=320, block_size=40))
    with started(WORKERS, campaign.workload) as scene:
        campaign.attempt("kill", lambda: campaign.kill_workers(scene, "gradient"))
        campaign.attempt("join", lambda: campaign.join_and_leave(scene, "factorisation"))
        campaign.attempt("interrupt", lambda: campaign.interrupt(scene, "prediction"))
        campaign.attempt("restart", lambda: campaign.restart(scene, "gradient"))
        lose_schedulers(campaign, scene, 1)
    print(figures(campaign, seed, 0.0))
    assert not campaign.failures
    assert campaign.counts["workers killed"] >= 1
    assert campaign.counts["clear errors without a scheduler"] == 1
"""


def test_answers_are_those_of_an_undisturbed_cluster(tmp_path):
    script = tmp_path / "campaign.py"
    script.write_text(PROGRAM)
    completed = subprocess.run(
        [sys.executable, script],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
