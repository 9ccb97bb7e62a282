"""The table that `ps ARGUMENTS` prints, of one container's processes alone.

For every real engine: the guest's own ps is asked, which sees all containers, and only rows whose PID is the
container's are kept. Not for pids by themselves: engines know those.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import trio

from actors.errors import AgentError, InvalidArgument, Unsupported

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["ps_table", "rows_of"]

_DEFAULT = ("-ef",)
# ps reads all of /proc: some ms, or 1 s with ten thousand processes
_SECONDS = 10.0
# an argument that makes every line long (`eww` prints environments) must not fill the guest's memory
_TABLE_BYTES = 4 * 1024 * 1024
_ARGUMENTS, _ARGUMENT_BYTES = 64, 4096


async def ps_table(arguments: tuple[str, ...], pids: Collection[int]) -> str:
    """Header and rows. Raises: InvalidArgument (`args`), Unsupported (no ps here), AgentError."""
    arguments = arguments or _DEFAULT
    if len(arguments) > _ARGUMENTS or any(len(word) > _ARGUMENT_BYTES or "\0" in word for word in arguments):
        raise InvalidArgument(
            f"ps arguments: at most {_ARGUMENTS} of {_ARGUMENT_BYTES} bytes each, without NUL", field="args"
        )
    program = shutil.which("ps")
    if program is None:
        raise Unsupported("a table of processes: this guest has no ps; ask for json, or install procps")
    return rows_of(await _output([program, *arguments]), pids, arguments)


async def _output(argv: list[str]) -> str:
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    async with trio.lowlevel.FdStream(read_end) as reader:
        try:
            process = await trio.lowlevel.open_process(
                argv, stdin=null, stdout=write_end, stderr=write_end, env={"LC_ALL": "C", "PATH": os.defpath}
            )
        except OSError as error:
            raise AgentError(f"{argv[0]}: {error.strerror}", status="can't be run") from error
        finally:
            os.close(write_end)
            os.close(null)
        try:
            with trio.fail_after(_SECONDS):
                return await _text(argv, reader)
        except trio.TooSlowError:
            raise AgentError(f"ps {argv[1:]}: did not end within {_SECONDS:.0f} s", status="timeout") from None
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


async def _text(argv: list[str], reader: trio.abc.ReceiveStream) -> str:
    output = bytearray()
    async for part in reader:
        output += part
        if len(output) > _TABLE_BYTES:
            raise InvalidArgument(f"ps {argv[1:]}: over {_TABLE_BYTES} bytes; ask for less of each", field="args")
    return output.decode("utf-8", "replace")


def rows_of(table: str, pids: Collection[int], arguments: tuple[str, ...]) -> str:
    """The header and the rows whose PID is one of `pids`; pure. Raises: InvalidArgument when there is no PID column."""
    header, *rows = table.splitlines() or [""]
    names = header.split()
    if "PID" not in names:
        raise InvalidArgument(
            f"ps {list(arguments)}: no PID column to tell the container's rows by; it says: {header[:200]}",
            field="args",
        )
    column = names.index("PID")
    wanted = {str(pid) for pid in pids}
    kept = [row for row in rows if len(words := row.split(None, column + 1)) > column and words[column] in wanted]
    return "\n".join([header, *kept]) + "\n"
