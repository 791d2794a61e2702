"""What tests and doctests share: no calibrations unasked, and none in the user's cache folder."""

import atexit
import os
import shutil
import tempfile

_folder = tempfile.mkdtemp(prefix="gprat-cache-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)

# JAX has threads, with which a process must not fork: its tests have a process of their own.
collect_ignore_glob = ["src/gprat/jax", "tests/with_jax"]

# Tile sizes by calibration differ from run to run, and with them the last bits of all results.
os.environ["GPRAT_CALIBRATE"] = "0"
os.environ["GPRAT_CACHE_DIR"] = _folder
