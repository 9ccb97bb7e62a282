"""`python -m tests.support.doubles.template WHAT ...`: the template of guests, for a double.

WHAT is JSON: its name and its options. The other words are the template's own.
"""

from __future__ import annotations

import sys

from actors.guest.template import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], serving="tests.support.doubles.serving"))
