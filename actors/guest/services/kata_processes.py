"""The kata agent API's calls on processes: exec, signals, exits, standard streams, terminals.

Called by `kata`, which decodes and encodes. Kata overloads exec ids, which is resolved here: an empty exec
id is the init, but with SIGKILL the whole container; an exec id equal to the container's id is the init alone.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from actors.errors import InvalidArgument
from actors.schemas import agent as api
from actors.schemas.users import with_user
from actors.wire.fields import check_fields
from actors.wire.spec import TerminalSize

if TYPE_CHECKING:
    from collections.abc import Mapping

    import msgspec

    from actors.guest.executor import Executor
    from actors.guest.services.method import Method
    from actors.limits import Limits

__all__ = ["ProcessCalls"]


class ProcessCalls:
    """See the module."""

    def __init__(self, executor: Executor, limits: Limits) -> None:
        self._executor = executor
        self._limits = limits

    def methods(self) -> Mapping[str, Method]:
        """By call name."""
        return {
            "ExecProcess": self._exec,
            "SignalProcess": self._signal,
            "WaitProcess": self._wait,
            "WriteStdin": self._write,
            "CloseStdin": self._close_stdin,
            "ReadStdout": self._read_stdout,
            "ReadStderr": self._read_stderr,
            "TtyWinResize": self._resize,
        }

    async def _exec(self, request: api.ExecProcessRequest) -> msgspec.Struct:
        if request.process is None:
            raise InvalidArgument(f"exec {request.exec_id[:80]!r}: process is missing", field="process")
        process = with_user(request.process, request.string_user)
        await self._executor.exec(request.container_id, request.exec_id, process)
        return api.Empty()

    async def _signal(self, request: api.SignalProcessRequest) -> msgspec.Struct:
        check_fields(request)
        if not request.exec_id and request.signal == signal.SIGKILL:
            await self._executor.kill_all(request.container_id)
        else:
            await self._executor.signal(request.container_id, request.exec_id, request.signal)
        return api.Empty()

    async def _wait(self, request: api.WaitProcessRequest) -> msgspec.Struct:
        status = await self._executor.wait(request.container_id, request.exec_id)
        return api.WaitProcessResponse(status=status.code)

    async def _write(self, request: api.WriteStreamRequest) -> msgspec.Struct:
        process = self._executor.process(request.container_id, request.exec_id)
        return api.WriteStreamResponse(len=await process.write(request.data))

    async def _close_stdin(self, request: api.CloseStdinRequest) -> msgspec.Struct:
        await self._executor.process(request.container_id, request.exec_id).close_stdin()
        return api.Empty()

    async def _read_stdout(self, request: api.ReadStreamRequest) -> msgspec.Struct:
        process = self._executor.process(request.container_id, request.exec_id)
        if request.len == 0:
            return api.ReadStreamResponse()
        return api.ReadStreamResponse(data=await process.read_stdout(self._bounded(request.len)))

    async def _read_stderr(self, request: api.ReadStreamRequest) -> msgspec.Struct:
        process = self._executor.process(request.container_id, request.exec_id)
        if request.len == 0:
            return api.ReadStreamResponse()
        return api.ReadStreamResponse(data=await process.read_stderr(self._bounded(request.len)))

    def _bounded(self, length: int) -> int:
        """A peer's requested length never sizes an allocation beyond our own bound."""
        return min(length, self._limits.read_bytes)

    async def _resize(self, request: api.TtyWinResizeRequest) -> msgspec.Struct:
        self._executor.resize(request.container_id, request.exec_id, TerminalSize(request.row, request.column))
        return api.Empty()
