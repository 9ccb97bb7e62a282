"""`katrio conformance --agent-command`: the agent under test as a program that is started anew whenever one is needed.

A command runs in a session of its own, with its output kept to be shown when it does not come up; at the end of a run it and all
that is left of its session are asked to end, and then killed. Not for reaching the agent (`under_test`).
"""

from __future__ import annotations

import os
import shlex
import signal
import tempfile
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from actors.cli.say import complain
from actors.errors import AgentUnreachable, InvalidArgument
from actors.nurseries import open_collapsing_nursery
from transports.errors import AddressError, AddressInUse
from transports.plain import printable
from transports.socket_files import remove_stale

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from actors.seams import ChildProcess, Processes
    from transports.address import Address
    from transports.base import Dialer

__all__ = ["START_SECONDS", "Started", "open_command"]

# from the command to the first connection that is taken: a VM boots in it
START_SECONDS = 30.0
# then it is told what is waited for
PATIENT_SECONDS = 3.0
# from SIGTERM to SIGKILL
GRACE_SECONDS = 5.0
# of a command's output, the last of it
SHOWN_BYTES = 600


class Started:
    """A command that runs. It has come up with the first connection that is taken."""

    def __init__(self, child: ChildProcess, log: Path, command: str) -> None:
        self.child = child
        self.reached = trio.Event()
        self._log = log
        self._command = command

    def through(self, dialer: Dialer) -> Dialer:
        """The same dialer, which tells when it has come up."""

        async def dial() -> trio.abc.Stream:
            stream = await dialer()
            self.reached.set()
            return stream

        return dial

    @property
    def trouble(self) -> str:
        """Its end, when it has ended, and the last of what it said."""
        code = self.child.poll()
        how = "runs" if code is None else f"ended with {code}" if code >= 0 else f"was ended by signal {-code}"
        said = printable(self._log.read_bytes()[-SHOWN_BYTES:].decode(errors="replace").strip())
        return f"`{self._command}` {how}{said and f', and said: {said}'}"


@asynccontextmanager
async def open_command(
    command: Sequence[str], addresses: Sequence[Address], processes: Processes, slow: float = 1.0
) -> AsyncGenerator[Started]:
    """The agent, from its start to its end; `slow` is by how much it may take longer to come up. Hides a nursery.

    Raises: InvalidArgument: somebody serves at its address, or it can't be started. AgentUnreachable: it has failed before a
        connection was taken.
    """
    for address in addresses:
        _check_free(address)
    with tempfile.TemporaryDirectory(prefix="katrio-agent-") as directory:
        log = Path(directory) / "log"
        log.touch()
        words = shlex.join(command)
        try:
            child = await processes.spawn(command, env=os.environ, log=log)
        except OSError as error:
            raise InvalidArgument(f"--agent-command {words}: {error.strerror}", field="agent-command") from error
        started = Started(child, log, words)
        try:
            async with open_collapsing_nursery() as nursery:
                nursery.start_soon(_watch, started)
                nursery.start_soon(_tell, started, " and ".join(map(str, addresses)), slow)
                try:
                    yield started
                except AgentUnreachable as error:
                    raise AgentUnreachable(f"{error.message}; {started.trouble}") from error
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await _end(child)


async def _watch(started: Started) -> None:
    """One that has left a daemon behind ends with 0, and is not given up for it. Raises: AgentUnreachable."""
    if await started.child.wait() != 0 and not started.reached.is_set():
        raise AgentUnreachable(f"the agent did not come up: {started.trouble}")


async def _tell(started: Started, where: str, slow: float) -> None:
    """What is waited for, once that takes long."""
    with trio.move_on_after(PATIENT_SECONDS):
        await started.reached.wait()
        return
    complain(
        f"nobody takes a connection at {where} yet; waiting {START_SECONDS * slow:g} s at the most, {started.trouble}"
    )


async def _end(child: ChildProcess) -> None:
    """Its whole session: a shell may have started the agent itself."""
    child.close_lifeline()
    _signal(child.pid, signal.SIGTERM)
    with trio.move_on_after(GRACE_SECONDS):
        await child.wait()
    _signal(child.pid, signal.SIGKILL)
    await child.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _check_free(address: Address) -> None:
    """Nobody serves there; a socket that an agent before has left is removed, as it would be in the next one's way.

    Raises: InvalidArgument.
    """
    # a device has a path as well, and is not the agent's to make
    if not address.target.startswith("/") or not Path(address.target).is_socket():
        return
    try:
        remove_stale(address.target)
    except AddressInUse as error:
        raise InvalidArgument(
            f"somebody serves at {address}: --agent-command starts agents of its own there", field="agent-command"
        ) from error
    except AddressError as error:
        raise InvalidArgument(f"--agent-command: {error}", field="agent-command") from error
