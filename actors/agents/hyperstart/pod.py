"""The host's record of the containers in one hyperstart guest, which can't be queried.

The guest creates and starts with one command, so a container that waits for its start exists only here. Also
the bodies of the two commands that run something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from actors.agents.hyperstart.user import numeric_user
from actors.errors import InvalidArgument, NotFound, Unsupported
from actors.lifecycle.container import ContainerState
from actors.schemas.text import plain_text
from actors.wire.spec import DEFAULT_PATH, ExitStatus
from transports.errors import LocalProtocolError
from transports.hyperstart import messages

if TYPE_CHECKING:
    from actors.agents.hyperstart.process import RunningProcess
    from actors.node.usertable import UserTable
    from actors.wire.spec import ContainerSpec, ProcessSpec

__all__ = ["Pod", "PodContainer", "check_spec", "container_body", "exec_body", "refusal_text"]

# a guest's refusal text; its own are half as long
REFUSAL_LENGTH = 80


class PodContainer:
    """One container; `init` is set once it was started, `never_ran` when it was killed before that.

    `users`: from its root at create; None: the guest looks them up.
    """

    def __init__(self, name: str, spec: ContainerSpec, rootfs: str, users: UserTable | None = None) -> None:
        self.name = name
        self.spec = spec
        self.rootfs = rootfs
        self.users = users
        self.starting = False
        self.never_ran: ExitStatus | None = None
        # by the caller's name; an init has its container's
        self.processes: dict[str, RunningProcess] = {}
        # its init runs, or never will
        self.decided = trio.Event()

    def fitted(self, process: ProcessSpec) -> ProcessSpec:
        """The spec with its user in the guest's form. Raises: InvalidArgument, its field `process.user`."""
        return process if self.users is None else replace(process, user=numeric_user(process.user, self.users))

    @property
    def init(self) -> RunningProcess | None:
        """Its first process."""
        return self.processes.get(self.name)

    @property
    def state(self) -> ContainerState:
        """Derived from the guest's events."""
        if self.never_ran is not None or (self.init is not None and self.init.finished):
            return ContainerState.STOPPED
        return ContainerState.READY if self.init is None else ContainerState.RUNNING


class Pod:
    """All of a guest's containers, shared by the actors that lease its link."""

    def __init__(self) -> None:
        self.containers: dict[str, PodContainer] = {}

    def container(self, name: str) -> PodContainer:
        """Raises: NotFound."""
        found = self.containers.get(name)
        if found is None:
            raise NotFound(f"container {name!r}: no such container in this guest", container=name)
        return found

    def process(self, container: str, process: str) -> RunningProcess:
        """A started process. Raises: NotFound."""
        found = self.container(container).processes.get(process)
        if found is None:
            raise NotFound(f"process {process!r} of container {container!r}: no such process", process=process)
        return found

    async def started(self, container: str, process: str) -> RunningProcess | None:
        """The same, waiting for the start if it is the init; None if killed before it. Raises: NotFound."""
        found = self.container(container)
        if process == container:
            await found.decided.wait()
            if found.never_ran is not None:
                return None
        return self.process(container, process)


def check_spec(container: str, spec: ContainerSpec, rootfs: str, share: str) -> None:
    """Reject at create what start could not carry. Raises: InvalidArgument, Unsupported."""
    if container == "hyperstart":
        raise InvalidArgument("container id 'hyperstart': the guest's own root has that name", field="id")
    if spec.mounts:
        raise Unsupported("create: mounts are not carried to a hyperstart guest; leave them out", field="mounts")
    if spec.resources != type(spec.resources)():
        raise Unsupported("create: a hyperstart guest limits nothing; leave resources out", field="resources")
    _image(rootfs, share)
    try:
        messages.encode_json(messages.Remove(container=container))
    except LocalProtocolError as error:
        raise InvalidArgument(f"create: {error}", field="id") from None


def _image(rootfs: str, share: str) -> tuple[str, str]:
    """The share's directory and the root in it. Raises: InvalidArgument."""
    if rootfs.rstrip("/") != share.rstrip("/") and not rootfs.startswith(share.rstrip("/") + "/"):
        raise InvalidArgument(f"root {rootfs!r}: a hyperstart guest sees {share!r} alone", field="image")
    image, _, root = rootfs[len(share.rstrip("/")) :].strip("/").partition("/")
    return image or ".", root or "."


def container_body(container: PodContainer, process: RunningProcess, share: str) -> bytes:
    """For NEWCONTAINER. Raises: InvalidArgument."""
    image, root = _image(container.rootfs, share)
    return _encoded(
        messages.Container(
            id=container.name,
            rootfs=root,
            image=image,
            process=_process(process, container.fitted(container.spec.process)),
            readOnly=container.spec.readonly,
        )
    )


def exec_body(process: RunningProcess, spec: ProcessSpec) -> bytes:
    """For EXECCMD. Raises: InvalidArgument."""
    return _encoded(messages.Exec(container=process.container, process=_process(process, spec)))


def _process(process: RunningProcess, spec: ProcessSpec) -> messages.Process:
    user, _, group = spec.user.partition(":")
    env = spec.env if "PATH" in spec.env else {"PATH": DEFAULT_PATH, **spec.env}
    return messages.Process(
        id=process.wire_id,
        terminal=spec.tty,
        stdio=process.stdio,
        stderr=process.stderr,
        args=spec.args,
        envs=tuple(messages.EnvironmentVariable(env=name, value=value) for name, value in env.items()),
        workdir=spec.cwd,
        user=user,
        group=group,
    )


def _encoded(body: messages.Container | messages.Exec) -> bytes:
    try:
        return messages.encode_json(body)
    except LocalProtocolError as error:
        raise InvalidArgument(str(error)) from None


def refusal_text(payload: bytes) -> str:
    """The text of an ERROR, a C string, made printable; empty for most commands."""
    return plain_text(payload.rstrip(b"\0").decode("ascii", "replace"), REFUSAL_LENGTH)
