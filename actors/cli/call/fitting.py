"""What a call is made into for the agent that it goes to: who answers is known only once it was dialled.

For the command and the shell. A container of an agent that is not ours gets a throw-away copy of its image, and the numbers of
a user that was named; no agent is sent a CreateSandbox beside a sandbox. `--no-defaults` sends what was written. Not for
reading arguments (`arguments`).

A copy outlives the command, as its container does: it goes with a RemoveContainer or a DestroySandbox that was done, with a
create that was not, and with a sweep once the agent is gone.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from actors.agents.identity import ASKING_SECONDS, identify
from actors.errors import InvalidArgument, KatrioError, OutcomeUnknown, Unsupported
from actors.images.store import ImageStore, default_image_root
from actors.limits import DEFAULT_LIMITS
from actors.node.busybox import find_static_busybox
from actors.node.roots import CalledRoots, default_roots
from actors.node.usertable import read_user_table
from actors.schemas import agent as api
from actors.schemas.oci import User
from actors.schemas.users import string_user_text, with_user
from actors.seams import real_seams
from transports.address import parse_agent_address

if TYPE_CHECKING:
    from actors.agents.kata.client import KataClient
    from actors.agents.kinds import Identity
    from actors.cli.call.arguments import Call
    from actors.schemas.oci import Process, Spec
    from actors.schemas.request import Request

__all__ = ["Fitter", "with_root"]

_AS_WRITTEN = "--no-defaults sends what was written"


@dataclass(frozen=True, slots=True)
class Fitter:
    """For one agent's address; `seconds` bound what it is asked before."""

    address: str
    seconds: float | None = None

    async def call(self, client: KataClient, call: Call) -> msgspec.Struct:
        """Make it; the answer. Raises: KatrioError."""
        call = await with_root(call)
        if not call.defaults:
            return await client.call(call.request)
        request = await self._fitted(client, call)
        try:
            response: msgspec.Struct = await client.call(request)
        except OutcomeUnknown:
            raise
        except KatrioError:
            # a create that is refused may have met a living container of that id: its root is another
            if call.image and isinstance(request, api.CreateContainerRequest) and request.OCI and request.OCI.root:
                await real_seams().threads.run(partial(self._roots.remove, request.OCI.root.path))
            raise
        if isinstance(request, api.RemoveContainerRequest):
            await real_seams().threads.run(partial(self._roots.remove_container, request.container_id))
        elif isinstance(request, api.DestroySandboxRequest):
            await real_seams().threads.run(self._roots.remove_all)
        return response

    async def _fitted(self, client: KataClient, call: Call) -> Request[Any]:
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
            threads = real_seams().threads
            copy = partial(self._roots.copy, root.path, request.container_id, DEFAULT_LIMITS, threads.checkpoint)
            root = msgspec.structs.replace(root, path=await threads.run(copy))
        spec = msgspec.structs.replace(spec, process=process, root=root)
        return msgspec.structs.replace(request, OCI=spec, string_user=None)

    @property
    def _roots(self) -> CalledRoots:
        address = parse_agent_address(self.address)
        socket = None if address.scheme == "vsock" else address.target
        return CalledRoots(default_roots(os.environ, os.geteuid()), str(address), socket)


async def with_root(call: Call) -> Call:
    """With the root of the image that was named. Unpacking it may take long, and ends with a cancel. Raises: KatrioError."""
    request = call.request
    if not (call.image and isinstance(request, api.CreateContainerRequest) and request.OCI and request.OCI.root):
        return call
    threads = real_seams().threads
    store = ImageStore(
        default_image_root(os.environ, os.geteuid()), find_static_busybox(), checkpoint=threads.checkpoint
    )
    path = str(await threads.run(partial(store.resolve, call.image)))
    spec = msgspec.structs.replace(request.OCI, root=msgspec.structs.replace(request.OCI.root, path=path))
    return dataclasses.replace(call, request=msgspec.structs.replace(request, OCI=spec))


def _name_of(process: Process | None, asked: api.StringUser | None) -> str:
    """What would have to be looked up; empty when numbers say it all."""
    if asked is not None and asked != api.StringUser():
        return string_user_text(asked)
    return process.user.username if process is not None and process.user is not None else ""


def _with_numbers(process: Process, root: str) -> Process:
    found = read_user_table(root).run_as(msgspec.to_builtins(process.user or User(uid=0, gid=0)))
    return msgspec.structs.replace(process, user=User(uid=found.uid, gid=found.gid, additional_gids=found.groups))
