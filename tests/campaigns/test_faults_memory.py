"""Operations answer allocations that fail with a MemoryError, and go on as before."""

import secrets

from campaigns.faults_memory import faults_memory


def test_some_of_all_allocations():
    seed = secrets.randbelow(1 << 30)
    print("seed", seed)
    figures = faults_memory(rows=180, step=41, seeds=[seed], python_step=37)
    assert figures["native"][0]["leaked"] == 0
    assert figures["native"][0]["faults"] > 100
    assert all(figures["python"]["by_call"].values())
