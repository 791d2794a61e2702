"""Sizes that are chosen, and costs that are known, before the work starts."""

from gprat.planning.cluster import ClusterPlan
from gprat.planning.planner import plan
from gprat.planning.result import Plan
from gprat.planning.tile_size import auto_tile_size, choose_tile_size

__all__ = ["ClusterPlan", "Plan", "auto_tile_size", "choose_tile_size", "plan"]
