"""What holds for all tests."""

import os

from hypothesis import settings

# Machines differ in speed, and a test that fails by chance teaches nothing.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

os.environ.setdefault("HF_HUB_OFFLINE", "1")
if "PYTEST_XDIST_WORKER" in os.environ:  # several processes that each use all cores are slower
    os.environ["OMP_NUM_THREADS"] = "1"
