"""`katrio sweep`: removes what dead owners left behind; every `katrio run` begins with the same.

Not for running sandboxes: those whose owner lives are never touched.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from actors.cli.exits import Exit
from actors.cli.say import complain, say
from actors.errors import KatrioError
from actors.images.store import default_image_root
from actors.images.unpacked import sweep_images
from actors.node import rundir
from actors.node.roots import default_roots, leftover_roots, sweep_roots

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["sweep", "sweep_root"]


def sweep_root(run_dir: Path | None) -> list[rundir.Swept]:
    """Sweep this user's run root, or another; this user's images, and the roots that attached agents had.

    Raises: KatrioError, OSError.
    """
    user = os.geteuid()
    swept = rundir.sweep(run_dir or rundir.default_run_root(os.environ, user))
    return [*swept, *sweep_images(default_image_root(os.environ, user)), *sweep_roots(default_roots(os.environ, user))]


def sweep(run_dir: Path | None) -> int:
    """Say what was removed, a line each; the exit code."""
    try:
        swept = sweep_root(run_dir)
    except (KatrioError, OSError) as error:
        complain(f"can't sweep: {error}")
        return Exit.INFRASTRUCTURE
    for one in swept:
        say(f"{'removed' if one.clean else 'could not remove all of'} {one.directory}")
    used = [left for left in leftover_roots(default_roots(os.environ, os.geteuid())) if not left.dead]
    for left in used:
        say(f"kept {left.directory}: containers of the agent at {left.why} may use it")
    if not swept and not used:
        say("nothing was left behind")
    return Exit.HELD if all(one.clean for one in swept) else Exit.INFRASTRUCTURE
