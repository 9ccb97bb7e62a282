"""Runs an OCI runtime's program: one call, its log, its error.

For the OCI engine. A call never captures output through a pipe: the container inherits the standard
streams, so that end of file would come only with the container's end. Errors are read from a log file per
call.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import trio

from actors.errors import AgentError
from actors.guest.engines.descent import kill_tree
from actors.node.exhaustion import is_exhaustion

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from actors.guest.descriptors import Descriptors

__all__ = ["Runtime", "RuntimeFailed"]

# a call takes 5 to 40 ms; one that takes this long hangs
_CALL_SECONDS = 30.0
# a call that takes longer waits for something, perhaps a container, and must not block the calls of others
_TURN_SECONDS = 2.0
_LOG_BYTES = 64 * 1024


class RuntimeFailed(AgentError):
    """The runtime's program failed; its own message ends the text."""


class Runtime:
    """One program, its state directory, and a bound on how many calls run at once.

    Paths are relative to the working directory, which is the guest's state directory.
    """

    def __init__(self, program: str, state: Path, calls: Path, descriptors: Descriptors) -> None:
        self._program = program
        self._state = state
        self._calls = calls
        self._descriptors = descriptors
        self._number = 0
        # running more than twice as many as cores only slows each down (measured)
        self._limiter = trio.CapacityLimiter(2 * (os.cpu_count() or 1))

    def scratch(self, suffix: str) -> Path:
        """A path unique to this call."""
        self._number += 1
        return self._calls / f"{self._number}.{suffix}"

    async def call(self, verb: str, *arguments: str, stdio: Sequence[int] | None = None) -> None:
        """Run `program verb arguments`; `stdio` are three descriptors for it and the container, None for /dev/null.

        On cancellation or time-out, the program and its descendants are killed; processes that left the tree before
        (moved into a container) are the caller's to clean up.

        Raises:
            RuntimeFailed: it failed, or did not end within 30 s.
            OSError: a resource ran out, and it was not started.
        """
        log = self.scratch("log")
        # absolute: crun changes into the bundle before it opens any of them
        state, log_path = str(self._state.absolute()), str(log.absolute())
        argv = [self._program, "--root", state, "--log", log_path, "--log-format", "json", verb, *arguments]
        try:
            code = await self._run(argv, stdio)
            if code != 0:
                raise RuntimeFailed(
                    f"{os.path.basename(self._program)} {verb}: {_last_message(log, code)}", status=code
                )
        finally:
            log.unlink(missing_ok=True)

    async def _run(self, argv: list[str], stdio: Sequence[int] | None) -> int | None:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        process: trio.Process | None = None
        code: int | None = None
        try:
            stdin, stdout, stderr = stdio or (null, null, null)
            async with self._limiter:
                process = await trio.lowlevel.open_process(
                    self._descriptors.as_started(argv), stdin=stdin, stdout=stdout, stderr=stderr
                )
                began = trio.current_time()
                with trio.move_on_at(began + min(_TURN_SECONDS, _CALL_SECONDS)):
                    code = await process.wait()
            if code is None:
                with trio.move_on_at(began + _CALL_SECONDS):
                    code = await process.wait()
        except OSError as error:
            if is_exhaustion(error):
                raise
            raise RuntimeFailed(f"{argv[0]}: {error.strerror}", status="can't be run") from error
        finally:
            os.close(null)
            if process is not None and code is None:
                with trio.CancelScope(shield=True), self._descriptors.reserve():
                    await kill_tree(process.pid)
                    await process.wait()
        return code


def _last_message(log: Path, code: int | None) -> str:
    """The last error of a JSON log; reads a bounded size, whatever the program wrote."""
    if code is None:
        return f"did not end within {_CALL_SECONDS:.0f} s and was killed, with what it had started"
    try:
        with log.open("rb") as file:
            lines = file.read(_LOG_BYTES).splitlines()
    except OSError:
        lines = []
    for line in reversed(lines):
        try:
            message = json.loads(line)["msg"]
        except (ValueError, KeyError, TypeError):
            continue
        return str(message)[:2000]
    return f"exit code {code} without a message"
