"""Lists a container's processes: through the agent, or by running `ps` in the container if the agent has no such call.

Today's Kata agent API has no ListProcesses; our guest serves that of 1.x. A `ps` run in the container is excluded from
its own output. Processes started by callers are in `processes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.errors import AgentError, InvalidArgument, ResourceExhausted, Unsupported
from actors.nurseries import open_collapsing_nursery
from actors.wire.spec import ProcessSpec
from actors.wire.verbs import ListedProcesses

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.agents.base import AgentConnection
    from actors.limits import Limits
    from actors.mailbox import Request
    from actors.wire.verbs import ListProcesses

__all__ = ["Listing"]

# prints its own pid, then becomes ps
_SCRIPT = 'echo "$$"; exec ps "$@"'
_DEFAULT_ARGS = ("-ef",)


class Listing:
    """The verb `list_processes` of one container. `check(verb)` refuses a verb in the present state."""

    def __init__(self, container: str, agent: AgentConnection, limits: Limits, check: Callable[[str], None]) -> None:
        self._container = container
        self._agent = agent
        self._limits = limits
        self._check = check
        self._runs = 0

    async def list_processes(self, args: ListProcesses, request: Request) -> ListedProcesses:
        """Raises: InvalidArgument (arguments that ps rejects), InvalidTransition, Unsupported."""
        self._check("list_processes")
        if args.format == "json" and args.args:
            raise InvalidArgument("args: json lists pids alone; ask for a table", field="args")
        try:
            if args.format == "json":
                return ListedProcesses(pids=await self._agent.list_pids(self._container))
            return ListedProcesses(table=await self._agent.list_table(self._container, args.args))
        except Unsupported:
            if not self._agent.isolates_processes:
                raise
            # an exec in a frozen container would never return
            self._check("exec")
        if args.format == "json":
            table = await self._run_ps(("-o", "pid"))
            return ListedProcesses(pids=tuple(int(row.split()[0]) for row in table.splitlines()[1:]))
        return ListedProcesses(table=await self._run_ps(args.args or _DEFAULT_ARGS))

    async def _run_ps(self, args: tuple[str, ...]) -> str:
        """The output of `ps ARGS` in the container, without its own row."""
        self._runs += 1
        process = f"katrio-ps-{self._runs}"
        spec = ProcessSpec(args=("sh", "-c", _SCRIPT, "ps", *args))
        try:
            await self._agent.exec_process(self._container, process, spec)
        except InvalidArgument as error:
            raise Unsupported(
                f"list_processes: the agent has no call for it, and the container no shell: {error}"
            ) from None
        output, errors = await self._outputs(process)
        code = (await self._agent.wait_process(self._container, process)).code
        own, _, table = output.partition("\n")
        if code == 127:
            raise Unsupported("list_processes: the agent has no call for it, and the container no ps")
        if code != 0:
            raise InvalidArgument(f"ps {' '.join(args)}: it ended with {code}: {errors.strip()[:400]}", field="args")
        return _without_row(table, own.strip())

    async def _outputs(self, process: str) -> tuple[str, str]:
        found: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}

        async def drain(name: str, read: Callable[[str, str, int], Awaitable[bytes]]) -> None:
            while data := await read(self._container, process, self._limits.read_bytes):
                found[name] += data
                if len(found[name]) > self._limits.read_bytes:
                    raise ResourceExhausted(
                        f"list_processes: ps printed over {self._limits.read_bytes} bytes",
                        limit=self._limits.read_bytes,
                    )

        async with open_collapsing_nursery() as nursery:
            nursery.start_soon(drain, "stdout", self._agent.read_stdout)
            nursery.start_soon(drain, "stderr", self._agent.read_stderr)
        return found["stdout"].decode("utf-8", "replace"), found["stderr"].decode("utf-8", "replace")


def _without_row(table: str, pid: str) -> str:
    """Raises: AgentError when the table has no PID column."""
    lines = table.splitlines(keepends=True)
    header = lines[0].split() if lines else []
    if "PID" not in header:
        raise AgentError("list_processes: ps printed no column PID; ask for one", status="no PID column")
    column = header.index("PID")
    kept = [line for line in lines[1:] if line.split(None, column + 1)[column : column + 1] != [pid]]
    return "".join(lines[:1] + kept)
