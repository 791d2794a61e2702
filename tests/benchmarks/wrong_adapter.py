"""Peers that misbehave, each in a way that the suite must notice."""

import time

from benchmarks.peers.gprat_adapter import Gprat


class Wrong(Gprat):
    """Solves another problem: the noise is a thousandth larger."""

    name = "wrong"

    def model(self):
        self._task.__dict__["noise_variance"] *= 1.001
        return super().model()


class Approximate(Wrong):
    """Is just as wrong, and says so."""

    name = "approximate"
    approximate = True


class Slow(Gprat):
    """Never comes to an end."""

    name = "slow"

    def mean(self):
        time.sleep(3600)


class Broken(Gprat):
    """Raises."""

    name = "broken"

    def mean(self):
        raise ArithmeticError("no mean today")
