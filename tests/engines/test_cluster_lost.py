"""A connection that is lost before anything is computed."""

import numpy as np
import pytest
from distributed import Client
from distributed.comm.core import CommClosedError

from gprat import GP
from gprat.exceptions import ClusterError


def test_a_connection_that_closes_is_explained(cluster, monkeypatch):
    X = np.random.default_rng(41).normal(size=(20, 2))
    with Client(cluster) as client:
        gp = GP(X, X[:, 0], noise=0.1, engine="cluster", client=client)

        def close():
            raise CommClosedError("reset by peer")

        with monkeypatch.context() as patch:
            patch.setattr(client, "nthreads", close)
            with pytest.raises(ClusterError, match="no longer answers"):
                gp.log_marginal_likelihood()
        assert np.isfinite(gp.log_marginal_likelihood())
