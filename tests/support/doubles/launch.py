"""`python -m tests.support.doubles.launch WHAT ...`: the launcher of a guest, for a double.

WHAT is JSON: its name and its options. The other words are the launcher's own, and so are its ways: before the fork nothing but
the standard library is imported.
"""

from __future__ import annotations

import sys

from actors.guest.launch import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], serving="tests.support.doubles.serving"))
