"""How fast the tasks of a computation run on this machine, measured once and kept.

A `Calibration` holds the seconds of each kind of task by tile size. With the task graph of an
operation it tells how long that will take, and which tile size is best; see `gprat.plan`.

Examples
--------
>>> from gprat.calibration import default_folder
>>> default_folder().is_absolute()
True
"""

from gprat.calibration.cache import default_folder, find
from gprat.calibration.choice import best_tile_size
from gprat.calibration.machine import CalibratedMachine
from gprat.calibration.measuring import calibrate, tune
from gprat.calibration.table import Calibration, Identity, Rates

__all__ = [
    "CalibratedMachine",
    "Calibration",
    "Identity",
    "Rates",
    "best_tile_size",
    "calibrate",
    "default_folder",
    "find",
    "tune",
]
