"""The build code of a package that was taken over: it tries to reach the world, then builds as if nothing had happened."""

import pathlib
import subprocess
import sys

import setuptools

here = pathlib.Path(__file__).resolve().parent
command = [sys.executable, "-I", str(here / "prober.py"), (here / "targets.json").read_text(encoding="utf8")]
found = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout

# The installer keeps a build's output to itself; the container's first process shows it to whoever reads the log.
try:
    with open("/proc/1/fd/1", "wb") as log:
        log.write(found)
except OSError:
    sys.stderr.buffer.write(found)

setuptools.setup(packages=["program"])
