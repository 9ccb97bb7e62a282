"""Run a helper program to its end, with bounded input and output.

For the guest's own helpers (`ps`, `iptables-save`). stdout and stderr come as one text. Don't rely on the exit code
alone: the reaper may collect the process before we do.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from actors.errors import AgentError, ResourceExhausted

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

__all__ = ["run_program"]


async def run_program(
    argv: Sequence[str], *, given: bytes = b"", seconds: float, most_bytes: int, env: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Its exit code and output. Killed when cancelled, or over its bounds.

    Raises:
        AgentError: it can't be run, or timed out.
        ResourceExhausted: it wrote more than `most_bytes`.
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    async with trio.lowlevel.FdStream(read_end) as reader:
        try:
            with _filled(given) as stdin:
                process = await trio.lowlevel.open_process(
                    list(argv),
                    stdin=stdin,
                    stdout=write_end,
                    stderr=write_end,
                    env={"LC_ALL": "C", "PATH": os.defpath, **(env or {})},
                )
        except OSError as error:
            raise AgentError(f"{argv[0]}: {error.strerror}", status="can't be run") from error
        finally:
            os.close(write_end)
        try:
            with trio.fail_after(seconds):
                output = await _output(argv, reader, most_bytes)
                return await process.wait(), output
        except trio.TooSlowError:
            raise AgentError(f"{argv[0]}: did not end within {seconds:.0f} s", status="timeout") from None
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


@contextmanager
def _filled(data: bytes) -> Generator[int]:
    """A descriptor to read `data` from: in memory, so that no task has to write while the program reads."""
    descriptor = os.memfd_create("input", os.MFD_CLOEXEC)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


async def _output(argv: Sequence[str], reader: trio.abc.ReceiveStream, most_bytes: int) -> bytes:
    output = bytearray()
    async for part in reader:
        output += part
        if len(output) > most_bytes:
            raise ResourceExhausted(f"{argv[0]}: it says over {most_bytes} bytes", limit=most_bytes)
    return bytes(output)
