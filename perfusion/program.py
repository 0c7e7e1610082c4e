"""The command `python -P -m perfusion.program MODULE ...`: a program of this installation, in a process of its own."""

import runpy
import sys

from perfusion.installation import take

if __name__ == "__main__":
    take()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
