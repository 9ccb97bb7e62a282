"""The output of `ps ARGUMENTS`, restricted to one container's processes.

For every real engine: runs the guest's ps, which sees all containers, and keeps only rows whose PID is the
container's.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from actors.errors import InvalidArgument, ResourceExhausted, Unsupported
from actors.guest.programs import run_program

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["ps_table", "rows_of"]

_DEFAULT = ("-ef",)
# ps reads all of /proc: some ms, or 1 s with ten thousand processes
_SECONDS = 10.0
# an argument that makes long lines (`eww` prints environments) must not fill the guest's memory
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
    try:
        _, output = await run_program([program, *arguments], seconds=_SECONDS, most_bytes=_TABLE_BYTES)
    except ResourceExhausted:
        raise InvalidArgument(
            f"ps {list(arguments)}: over {_TABLE_BYTES} bytes; ask for less of each", field="args"
        ) from None
    return rows_of(output.decode("utf-8", "replace"), pids, arguments)


def rows_of(table: str, pids: Collection[int], arguments: tuple[str, ...]) -> str:
    """The header and the rows whose PID is in `pids`; pure. Raises: InvalidArgument without a PID column."""
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
