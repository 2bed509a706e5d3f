"""Start many runs again, one after the other in one process: `peer_many.py jaxconv|loops < calls`.

Each line of the input is a JSON list of arguments; each line of the output says how that call ended. A new process for
every damaged copy would spend most of its time importing.
"""

import contextlib
import io
import json
import sys
import traceback


def main() -> None:
    """Answer every line of the input."""
    if sys.argv[1] == "jaxconv":
        from jaxconv.cli import main as command
    else:
        from peer_loops import main as command
    answers = sys.stdout
    for line in sys.stdin:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = command(json.loads(line)) or 0
            except (Exception, SystemExit):
                traceback.print_exc()
                code = 1
        print(json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue()}), file=answers, flush=True)


if __name__ == "__main__":
    main()
