"""Runs the program of this image as `python3 -m` in its directory would."""

import runpy
import sys

sys.path.insert(0, "/app")
runpy.run_module("@MODULE@", run_name="__main__", alter_sys=True)
