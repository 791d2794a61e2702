"""What tests and doctests share: no calibrations unasked, and none in the user's cache folder.

Packages that need a library which isn't installed are left out; ``make test-torch`` installs it.
"""

import atexit
import os
import shutil
import tempfile
from importlib.util import find_spec

_folder = tempfile.mkdtemp(prefix="gprat-cache-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)

# JAX has threads, with which a process must not fork: its tests have a process of their own.
collect_ignore_glob = ["src/gprat/jax", "tests/with_jax"]

# Tile sizes by calibration differ from run to run, and with them the last bits of all results.
os.environ["GPRAT_CALIBRATE"] = "0"
os.environ["GPRAT_CACHE_DIR"] = _folder

collect_ignore = [] if find_spec("torch") else ["src/gprat/torch", "tests/pytorch"]
collect_ignore += [] if find_spec("botorch") else ["src/gprat/botorch", "tests/for_botorch"]
