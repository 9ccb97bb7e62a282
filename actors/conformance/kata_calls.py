"""The RPCs of a kata case, by name; records which calls were abandoned when a time limit expired.

The base of `kata`, `kata_container`'s containers and processes.
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

# from the start of a handler to where it waits
UNDER_WAY_SECONDS = 0.3


@dataclass
class KataCalls(Findings):
    """A case's calls to its agent over its own link.

    Attributes:
        may_be_paused: ids of containers for which it requested a pause: even a refused one may leave processes frozen.
    """

    link: RpcLink
    ids: Ids
    may_be_paused: set[str] = field(default_factory=set[str], kw_only=True)

    def fresh(self, prefix: str = "cf") -> str:
        """A unique id, across runs too."""
        return self.ids.fresh(prefix)

    async def call(self, method: str, *, link: RpcLink | None = None, **fields: Any) -> Any:
        """Make one RPC by name, with its request's fields; returns the response. Raises: KatrioError."""
        rpc = RPCS[method]
        words = "/".join(str(fields[name]) for name in ("container_id", "exec_id") if name in fields)
        if method == "PauseContainer":
            self.may_be_paused.add(fields["container_id"])
        with self.asking(f"{method} {words}".strip()):
            return await (link or self.link).call(rpc, rpc.request(**fields))

    async def code(self, method: str, **fields: Any) -> str:
        """The same, where only the outcome matters: `ok`, or the error's code. Raises: KatrioError for a lost link."""
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
        """A process for an exec."""
        return oci_process(ProcessSpec(args=args, tty=tty, env=dict(env or {}), cwd=cwd, user=user, size=size))

    async def under_way(self, *links: RpcLink) -> None:
        """Wait until earlier calls are at the agent: a later call over the same links was answered."""
        for link in links or (self.link,):
            await self.call("Check", link=link)
        await self.pass_time(UNDER_WAY_SECONDS)
