"""The engine on a Dask cluster, for matrices that are too large or too slow for one machine."""

from gprat.engines.cluster.engine import ClusterEngine

__all__ = ["ClusterEngine"]
