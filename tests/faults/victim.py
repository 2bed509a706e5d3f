"""The command `jaxconv`, but something happens to it at a chosen moment.

python victim.py kill:N|raise:N|stop:N|count:FILE|hold:FOLDER:N,... ARGUMENT ...

`kill` and `stop` send SIGKILL and SIGSTOP, `raise` raises before the n-th line of the trainer; `count` only writes the
number of lines into a file. Lines of every thread count, those that save in the background too. `hold` waits before
each of those rows of the metrics until the test says to go on; see `runs.Hold`.
"""

import itertools
import os
import signal
import sys
import threading
import time
from pathlib import Path

import jaxconv.train
from jaxconv.cli import main
from jaxconv.train.record import Records

TRAINER = str(Path(jaxconv.train.__file__).parent)
fault, where = sys.argv[1].split(":", 1)


def strike():
    if fault == "raise":
        raise RuntimeError("struck by the test")
    os.kill(os.getpid(), signal.SIGKILL if fault == "kill" else signal.SIGSTOP)


def strike_before_line(last: int) -> itertools.count:
    lines = itertools.count(1)

    def trace(frame, event, argument):
        if not frame.f_code.co_filename.startswith(TRAINER):
            return None
        if event == "line" and next(lines) == last:
            strike()
        return trace

    threading.settrace(trace)
    sys.settrace(trace)
    return lines


def hold_before_rows(folder: Path, chosen: set[int]):
    record, rows = Records.metrics, itertools.count(1)

    def metrics(self, *arguments):
        row = next(rows)
        if row in chosen:
            (folder / f"{row}.reached").touch()
            while not (folder / f"{row}.go").exists():
                time.sleep(0.01)
        record(self, *arguments)

    Records.metrics = metrics


if fault == "hold":
    folder, numbers = where.rsplit(":", 1)
    hold_before_rows(Path(folder), set(map(int, numbers.split(","))))
    sys.exit(main(sys.argv[2:]))
lines = strike_before_line(0 if fault == "count" else int(where))
code = main(sys.argv[2:])
sys.settrace(None)
if fault == "count":
    Path(where).write_text(str(next(lines)))
sys.exit(code)
