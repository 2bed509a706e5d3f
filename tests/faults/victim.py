"""The command `jaxconv`, but something happens to it at a chosen moment: before the n-th line of the trainer.

python victim.py kill:N|raise:N|stop:N|count:FILE ARGUMENT ...

`kill` and `stop` send SIGKILL and SIGSTOP, `raise` raises; `count` only writes the number of lines into a file. Lines
of every thread count, those that save in the background too.
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
fault, where = sys.argv[1].split(":", 1)
lines = itertools.count(1)
last = 0 if fault == "count" else int(where)


def strike():
    if fault == "raise":
        raise RuntimeError("struck by the test")
    os.kill(os.getpid(), signal.SIGKILL if fault == "kill" else signal.SIGSTOP)


def trace(frame, event, argument):
    if not frame.f_code.co_filename.startswith(TRAINER):
        return None
    if event == "line" and next(lines) == last:
        strike()
    return trace


threading.settrace(trace)
sys.settrace(trace)
code = main(sys.argv[2:])
sys.settrace(None)
if fault == "count":
    Path(where).write_text(str(next(lines)))
sys.exit(code)
