"""The command `jaxconv`, but it kills itself at a chosen moment: before the n-th line of the trainer that it executes.

python victim.py N COUNT ARGUMENT ...   dies before line N; with N = 0 it counts the lines into the file COUNT instead

Lines of every thread count, those that save in the background too.
"""

import itertools
import os
import signal
import sys
import threading
from pathlib import Path

import jaxconv.train
from jaxconv.cli import main

TRAINER = str(Path(jaxconv.train.__file__).parent)
LAST, COUNT = int(sys.argv[1]), Path(sys.argv[2])
lines = itertools.count(1)


def trace(frame, event, argument):
    if not frame.f_code.co_filename.startswith(TRAINER):
        return None
    if event == "line" and next(lines) == LAST:
        os.kill(os.getpid(), signal.SIGKILL)
    return trace


threading.settrace(trace)
sys.settrace(trace)
code = main(sys.argv[3:])
sys.settrace(None)
if LAST == 0:
    COUNT.write_text(str(next(lines)))
sys.exit(code)
