"""What ran where and when: the record, its summary, its picture, and a file for trace viewers."""

from gprat.tracing.critical_path import critical_path
from gprat.tracing.recording import trace
from gprat.tracing.summary import IdleTime, KindSummary, TraceSummary

__all__ = ["IdleTime", "KindSummary", "TraceSummary", "critical_path", "trace"]
