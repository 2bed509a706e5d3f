"""Exit codes: what a launcher does next is decided by them alone."""

from jaxconv.train.processes import FAILED
from jaxconv.train.stop import PREEMPTED

DONE = 0
USAGE = 2
"""The call, its data or its numbers are at fault: the same command would end the same way."""
INTERRUPTED = 130
"""Stopped by SIGINT, the state saved."""
UNREAD = 141
"""Standard output was closed by who read it: what a shell says of a process that SIGPIPE ended."""

FINAL = (DONE, USAGE, PREEMPTED, INTERRUPTED)
"""Nothing is gained by starting again at once. After any other code the same command continues the run."""

__all__ = ["DONE", "FAILED", "FINAL", "INTERRUPTED", "PREEMPTED", "UNREAD", "USAGE"]
