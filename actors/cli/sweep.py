"""`katrio sweep`: removes what dead owners left behind; every `katrio run` begins with the same.

Not for running sandboxes: those whose owner lives are never touched.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from actors.cli.exits import Exit
from actors.errors import KatrioError
from actors.host import rundir
from actors.host.images import default_image_root
from actors.host.store import sweep_images

__all__ = ["sweep", "sweep_root"]


def sweep_root(run_dir: Path | None) -> list[rundir.Swept]:
    """Sweep this user's run root, or another, and this user's images. Raises: KatrioError, OSError."""
    swept = rundir.sweep(run_dir or rundir.default_run_root(os.environ, os.geteuid()))
    return swept + sweep_images(default_image_root(os.environ, os.geteuid()))


def sweep(run_dir: str | None) -> int:
    """Say what was removed, a line each; the exit code."""
    try:
        swept = sweep_root(Path(run_dir).absolute() if run_dir else None)
    except (KatrioError, OSError) as error:
        print(f"katrio: can't sweep: {error}", file=sys.stderr)
        return Exit.INFRASTRUCTURE
    for one in swept:
        print(f"{'removed' if one.clean else 'could not remove all of'} {one.directory}")
    if not swept:
        print("nothing was left behind")
    return Exit.HELD if all(one.clean for one in swept) else Exit.INFRASTRUCTURE
