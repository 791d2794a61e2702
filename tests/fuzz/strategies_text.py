"""Text as it stands in tables and configuration files, right and wrong."""

from hypothesis import strategies as st

_KERNELS = "RBF Matern WhiteKernel ConstantKernel DotProduct ActiveDims ChangePoint Sum"
_SIGNS = "( ) [ ] , + * ** - : . { } # = lambda slice None True __import__ CompoundKernel"
_VALUES = "1 2.5 1e400 0x1f 10**9 inf nan 'fixed' length_scale nu k1 k2 dims é SpectralMixture"
WORDS = (*f"{_KERNELS} {_SIGNS} {_VALUES}".split(" "), "\n", "\x00", "\ud800", "")
"""What kernels as text are made of, and what has no place there."""

_PLAIN = ["1", "-2.5", "1e400", "nan", "", " ", "x", "inf", "TRUE", "NA", "2020-01-01", "é"]
_TRICKY = ['"', '"a', ",", ";", "\t", "\n", "\r", "\x00", "#", "'", "0x10", "1_000", "1,5"]

cells = st.one_of(st.sampled_from(_PLAIN + _TRICKY), st.floats().map(repr), st.text(max_size=4))
"""Cells of a table of text."""
