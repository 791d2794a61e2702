"""Models in files: one file a model, arrays mapped into memory, nothing in it ever run.

The format is safetensors, which many programs read, with a description as its metadata. Pickle is
not involved: what a file can hold is data, and the names of kernels, means and distributions that
gprat knows.

A class becomes saveable by `saveable`: it writes itself into an `Archive`, and is made from one.
"""

from gprat.persistence.archive import Archive
from gprat.persistence.files import load, save, saveable

__all__ = ["Archive", "load", "save", "saveable"]
