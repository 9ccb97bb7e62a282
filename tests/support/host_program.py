"""A program that embeds katrio, for tests that kill it: two containers, one of them paused, then it waits.

Usage: `python -m tests.support.host_program RUN_DIR ENGINE`; it prints `ready` once everything runs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from actors.api import open_system
from actors.wire.spec import ContainerSpec, ProcessSpec

COUNT = ("sh", "-c", "i=0; while true; do i=$((i+1)); echo $i; sleep 0.05; done")


async def main(run_dir: Path, engine: str) -> None:
    """Bring everything up and wait to be killed."""
    async with open_system(engine=engine, run_dir=run_dir) as system:
        box = await system.create_sandbox("box")
        await box.start()
        for name in ("still", "going"):
            container = await box.create_container(name, ContainerSpec(process=ProcessSpec(args=COUNT)))
            await container.start()
            # a grandchild in a session of its own must not get away either
            await container.exec("escapee", ProcessSpec(args=("sh", "-c", "setsid sleep 1000 & wait")))
        await box.container("still").pause()
        print("ready", flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), sys.argv[2])
