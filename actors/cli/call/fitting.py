"""What a call is made into for the agent that it goes to: who answers is known only once it was dialled.

For the command and the shell. A container of an agent that is not ours gets a throw-away copy of its image, and the numbers of
a user that was named; no agent is sent a CreateSandbox beside a sandbox. `--no-defaults` sends what was written. Not for
reading arguments (`arguments`).

A copy outlives the command, as its container does: it lies where the agent's address and the container's id say, and goes with
a RemoveContainer or a DestroySandbox that was done, or with a create that was not.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import trio

from actors.agents.identity import ASKING_SECONDS, identify
from actors.errors import InvalidArgument, KatrioError, OutcomeUnknown, Unsupported
from actors.host.roots import copy_root, default_roots
from actors.host.usertable import read_user_table
from actors.schemas import agent as api
from actors.schemas.oci import User
from actors.schemas.users import string_user_text, with_user

if TYPE_CHECKING:
    from actors.agents.identity import Identity
    from actors.agents.kata.client import KataClient
    from actors.cli.call.arguments import Call
    from actors.schemas.oci import Process, Spec

__all__ = ["Fitter"]

_AS_WRITTEN = "--no-defaults sends what was written"


@dataclass(frozen=True, slots=True)
class Fitter:
    """For one agent's address; `seconds` bound what it is asked before."""

    address: str
    seconds: float | None = None

    async def call(self, client: KataClient, call: Call) -> msgspec.Struct:
        """Make it; the answer. Raises: KatrioError."""
        if not call.defaults:
            return await client.call(call.rpc, call.request)
        request = await self._fitted(client, call)
        try:
            response = await client.call(call.rpc, request)
        except OutcomeUnknown:
            raise
        except KatrioError:
            # a create that is refused may have met a living container of that id: its root is another
            if call.image and isinstance(request, api.CreateContainerRequest) and request.OCI and request.OCI.root:
                await self._remove(request.OCI.root.path)
            raise
        if isinstance(request, api.RemoveContainerRequest):
            await self._remove(f"{_short(request.container_id)}-")
        elif isinstance(request, api.DestroySandboxRequest):
            await self._remove("")
        return response

    async def _fitted(self, client: KataClient, call: Call) -> msgspec.Struct:
        match call.request:
            case api.CreateSandboxRequest() as request:
                await self._check_sandbox(client)
                return request
            case api.CreateContainerRequest(OCI=spec) as request if spec is not None:
                if not call.image and not _name_of(spec.process, request.string_user):
                    return request
                return await self._fitted_create(client, call, request, spec)
            case api.ExecProcessRequest() as request if name := _name_of(request.process, request.string_user):
                if not (await self._who(client)).own:
                    raise InvalidArgument(
                        f"user {name[:80]!r}: this agent looks no names up; write uid:gid", field="user"
                    )
                return request
            case request:
                return request

    async def _who(self, client: KataClient) -> Identity:
        return await identify(client, seconds=min(self.seconds or ASKING_SECONDS, ASKING_SECONDS))

    async def _check_sandbox(self, client: KataClient) -> None:
        who = await self._who(client)
        who.check_no_sandbox()
        if who.sandbox is None and who.second_sandbox_destroys:
            raise Unsupported(
                f"{who.kind} would not say whether it has a sandbox; a second one would remove the files of what runs in it. "
                f"{_AS_WRITTEN}"
            )

    async def _fitted_create(
        self, client: KataClient, call: Call, request: api.CreateContainerRequest, spec: Spec
    ) -> api.CreateContainerRequest:
        if (await self._who(client)).own:
            return request
        process, root = spec.process, spec.root
        if process is not None and (name := _name_of(process, request.string_user)):
            if root is None:
                raise InvalidArgument(
                    f"user {name[:80]!r}: this agent looks no names up, and without a root nobody can; write uid:gid",
                    field="user",
                )
            process = _with_numbers(with_user(process, request.string_user), root.path)
        if call.image and root is not None:
            copied = await trio.to_thread.run_sync(self._copy, root.path, _short(request.container_id))
            root = msgspec.structs.replace(root, path=copied)
        spec = msgspec.structs.replace(spec, process=process, root=root)
        return msgspec.structs.replace(request, OCI=spec, string_user=None)

    @property
    def _copies(self) -> Path:
        return default_roots(os.environ, os.geteuid()) / f"calls-{_short(self.address)}"

    def _copy(self, source: str, name: str) -> str:
        """Blocking."""
        self._copies.mkdir(mode=0o711, parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._copies))
        made.chmod(0o711)
        try:
            copy_root(Path(source), made / "root")
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        return str(made / "root")

    async def _remove(self, which: str) -> None:
        """Copies whose names begin so, or the one at that path."""

        def remove() -> None:
            path = Path(which)
            found = [path.parent] if path.is_absolute() else list(self._copies.glob(f"{which}*"))
            for made in found:
                if made.parent == self._copies:
                    shutil.rmtree(made, ignore_errors=True)
            with suppress(OSError):  # others are left, or there never was one
                self._copies.rmdir()

        await trio.to_thread.run_sync(remove)


def _name_of(process: Process | None, asked: api.StringUser | None) -> str:
    """What would have to be looked up; empty when numbers say it all."""
    if asked is not None and asked != api.StringUser():
        return string_user_text(asked)
    return process.user.username if process is not None and process.user is not None else ""


def _with_numbers(process: Process, root: str) -> Process:
    found = read_user_table(root).run_as(msgspec.to_builtins(process.user or User(uid=0, gid=0)))
    return msgspec.structs.replace(process, user=User(uid=found.uid, gid=found.gid, additional_gids=found.groups))


def _short(text: str) -> str:
    """A file's name for any text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
