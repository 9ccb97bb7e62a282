"""A program that serves a system to others, for tests that connect to it.

Usage: `python -m tests.support.serve_program ADDRESS RUN_DIR ENGINE [AGENT]`; prints `ready`, and ends in order once
its standard input does.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import trio

from actors.api import open_system


async def main(address: str, run_dir: Path, engine: str, agent: str) -> None:
    """Serve until nobody holds our standard input any more."""
    async with open_system(agent=agent, engine=engine, run_dir=run_dir, listen=address):
        print("ready", flush=True)
        await trio.to_thread.run_sync(sys.stdin.buffer.read)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    trio.run(main, sys.argv[1], Path(sys.argv[2]), sys.argv[3], (sys.argv[4:] or ["kata"])[0])
