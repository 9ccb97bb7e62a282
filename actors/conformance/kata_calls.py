"""The RPCs of a kata case, any of them by its name; what is given up because a bound was over is known by it.

For `kata`, and for the containers and processes that stand on it (`kata_container`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from actors.agents.kata.spec import oci_process
from actors.conformance.expect import is_loss
from actors.conformance.findings import Findings
from actors.errors import KatrioError
from actors.schemas.rpcs import RPCS
from actors.wire.spec import ProcessSpec, TerminalSize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.agents.kata.rpclink import RpcLink
    from actors.schemas.oci import Process
    from actors.seams import Ids

__all__ = ["KataCalls"]

# from a handler's begin to where it waits
UNDER_WAY_SECONDS = 0.3


@dataclass
class KataCalls(Findings):
    """What a case asks of its agent over a link of its own.

    Attributes:
        may_be_paused: ids of containers that it asked to be paused: also a refusal may leave some of its processes frozen.
    """

    link: RpcLink
    ids: Ids
    may_be_paused: set[str] = field(default_factory=set[str], kw_only=True)

    def fresh(self, prefix: str = "cf") -> str:
        """An id that nobody else uses, neither here nor in another run."""
        return self.ids.fresh(prefix)

    async def call(self, method: str, *, link: RpcLink | None = None, **fields: Any) -> Any:
        """One RPC by its name, with the fields of its request; its response. Raises: KatrioError."""
        rpc = RPCS[method]
        words = "/".join(str(fields[name]) for name in ("container_id", "exec_id") if name in fields)
        if method == "PauseContainer":
            self.may_be_paused.add(fields["container_id"])
        with self.asking(f"{method} {words}".strip()):
            return await (link or self.link).call(rpc, rpc.request(**fields))

    async def code(self, method: str, **fields: Any) -> str:
        """The same, when only its outcome matters: `ok`, or the error's code. Raises: KatrioError for a link that was lost."""
        try:
            await self.call(method, **fields)
        except KatrioError as error:
            if is_loss(error):
                raise
            return error.code
        return "ok"

    def process(
        self,
        *args: str,
        tty: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        user: str = "",
        size: TerminalSize | None = None,
    ) -> Process:
        """A process as an exec carries it."""
        return oci_process(ProcessSpec(args=args, tty=tty, env=dict(env or {}), cwd=cwd, user=user, size=size))

    async def under_way(self, *links: RpcLink) -> None:
        """Calls that began before are at the agent: what is sent after them over the same links was answered."""
        for link in links or (self.link,):
            await self.call("Check", link=link)
        await self.pass_time(UNDER_WAY_SECONDS)
