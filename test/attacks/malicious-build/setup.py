"""The build code of a package that was taken over: it tries to reach the world, then builds as if nothing had happened."""

import os
import pathlib
import subprocess
import sys

import setuptools

here = pathlib.Path(__file__).resolve().parent


def ancestors():
    """Process identifiers of the parent, its parent and so on."""
    process = os.getppid()
    while process > 0:
        yield process
        stat = pathlib.Path(f"/proc/{process}/stat").read_text(encoding="utf8")
        process = int(stat.rpartition(")")[2].split()[1])


def show(text):
    """Installers keep a build's output to themselves; the first process of a step writes where its log is read."""
    for process in reversed(list(ancestors())):
        try:
            log = os.open(f"/proc/{process}/fd/1", os.O_WRONLY | os.O_APPEND)
        except OSError:
            continue
        os.write(log, text)
        return


# The installer asks for the metadata first, with another command.
if "bdist_wheel" in sys.argv:
    command = [sys.executable, "-I", str(here / "prober.py"), (here / "targets.json").read_text(encoding="utf8")]
    show(subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout)

setuptools.setup(packages=["app"])
