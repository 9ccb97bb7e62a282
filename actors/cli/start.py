"""What the console script calls: asking to end is answered from here on, by an exit code and not by a signal's death.

Three stretches. From here until `main` has its own handlers nothing is under way, and the process ends at once. Then, see
`signals`, the first signal ends the work in order and the second at once. Once the work is over and its exit code is known,
none changes anything. What comes before this function is Python's own start. Imports nothing that takes time.
"""

from __future__ import annotations

import os
import signal
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command that this process was started as; the exit code."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, _end)
    from actors.cli.main import main as run

    return run()


def _end(signum: int, _: object) -> None:
    os._exit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())
