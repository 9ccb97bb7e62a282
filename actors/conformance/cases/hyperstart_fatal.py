"""Input that crashes a real hyperstart, but not a better agent: run only on request, and last.

A case passes if the guest answers ERROR and continues. Headers and frames of a wrong length are not tested: the single
pair of channels would be lost for all later cases with any guest.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from actors.conformance.case import Cases
from actors.conformance.cases.hyperstart import SIGTERM, SOON, execution, refused_command
from actors.conformance.expect import equal
from actors.errors import OutcomeUnknown
from actors.node.protocols import GuestProtocol
from transports.hyperstart.codec import Code

if TYPE_CHECKING:
    from actors.conformance.hyperstart import Hyperstart

__all__ = ["CASES"]

CASES = Cases(protocols=(GuestProtocol.HYPERSTART,))


@CASES.add(
    "hyperstart.pod-twice",
    title="A second STARTPOD is refused, and what runs is unharmed",
    does="sends STARTPOD while a container runs",
    expects="ERROR; an exec in the container runs",
    why="hyperstart-wire 6: observed: ERROR and immediate power-off",
    destructive=True,
)
async def pod_twice(guest: Hyperstart) -> None:
    container = await guest.run()
    await refused_command(guest, Code.STARTPOD, {"hostname": "another"}, "a second STARTPOD")
    await container.check_alive()


@CASES.add(
    "hyperstart.missing-directory",
    title="A working directory that is not there is refused",
    does="execs in a directory that is not there",
    expects="ERROR; the next exec runs",
    why="hyperstart-wire 7: observed: ERROR, and then the guest crashes, 3 of 3",
    destructive=True,
)
async def missing_directory(guest: Hyperstart) -> None:
    container = await guest.run()
    body = execution(container, workdir="/no/such/directory")
    await refused_command(guest, Code.EXECCMD, body, "an exec in a directory that is not there")
    await container.check_alive()


@CASES.add(
    "hyperstart.missing-user",
    title="A user that is not there is refused",
    does="execs as a user of a name that nobody has",
    expects="ERROR; the next exec runs",
    why="hyperstart-wire 7: observed: as with a missing directory",
    destructive=True,
)
async def missing_user(guest: Hyperstart) -> None:
    container = await guest.run()
    body = execution(container, user="nosuchuser")
    await refused_command(guest, Code.EXECCMD, body, "an exec as a user that is not there")
    await container.check_alive()


@CASES.add(
    "hyperstart.no-arguments",
    title="A process without arguments is refused",
    does="execs with an empty list of arguments",
    expects="ERROR within 8 s; the next exec runs",
    why="hyperstart-wire 7: observed: never an answer again, to anyone",
    destructive=True,
)
async def no_arguments(guest: Hyperstart) -> None:
    container = await guest.run()
    with guest.quick("a process without arguments is answered", SOON):
        await refused_command(guest, Code.EXECCMD, execution(container, args=[]), "an exec without arguments")
    await container.check_alive()


@CASES.add(
    "hyperstart.no-process-id",
    title="A process without an id is refused",
    does="execs with an empty id",
    expects="ERROR; the next exec runs",
    why="hyperstart-wire 7: observed: a missing id crashes the guest now or at the next look-up",
    destructive=True,
)
async def no_process_id(guest: Hyperstart) -> None:
    container = await guest.run()
    await refused_command(guest, Code.EXECCMD, execution(container, id=""), "an exec without an id")
    await container.check_alive()


@CASES.add(
    "hyperstart.id-with-quote",
    title="An id with a quote in it is refused",
    does="execs under an id with a quote",
    expects="ERROR; the next exec runs",
    why="hyperstart-wire 7: observed: strings of events are not escaped",
    destructive=True,
)
async def id_with_quote(guest: Hyperstart) -> None:
    container = await guest.run()
    await refused_command(guest, Code.EXECCMD, execution(container, id='a"b'), "an exec under an id with a quote")
    await container.check_alive()


@CASES.add(
    "hyperstart.kill-nameless",
    title="A kill that names no container is refused",
    does="sends KILLCONTAINER without `container`",
    expects="ERROR; the guest answers a ping",
    why="hyperstart-wire 7: observed: the guest crashes",
    destructive=True,
)
async def kill_nameless(guest: Hyperstart) -> None:
    await refused_command(guest, Code.KILLCONTAINER, {"signal": SIGTERM}, "a kill that names nobody")
    await guest.command(Code.PING)


@CASES.add(
    "hyperstart.container-without-process",
    title="A container without a process is refused",
    does="sends NEWCONTAINER without `process`",
    expects="ERROR within 8 s; the guest answers a ping",
    why="hyperstart-wire 7: observed: no reply ever",
    destructive=True,
)
async def container_without_process(guest: Hyperstart) -> None:
    body = {"id": guest.fresh(), "rootfs": "rootfs", "image": "image"}
    with guest.quick("a container without a process is answered", SOON):
        await refused_command(guest, Code.NEWCONTAINER, body, "a container without a process")
    await guest.command(Code.PING)


@CASES.add(
    "hyperstart.destroy",
    title="DESTROYPOD ends what runs, and is answered or followed by the end of the channel",
    does="destroys the pod while a container runs that TERM ends",
    expects="ACK, or the control channel closed, within the bound; the container's end before it",
    why="hyperstart-wire 6: observed: stream end, event, ACK, sockets close",
    destructive=True,
    ends=True,
)
async def destroy(guest: Hyperstart) -> None:
    container = await guest.shell("trap 'exit 3' TERM; echo up-$((2 + 2)); while true; do sleep 0.05; done")
    await container.init.until("up-4\n")
    with suppress(OutcomeUnknown):
        # its reply may be lost with the channel, whose end is as good
        await guest.command(Code.DESTROYPOD)
    equal(await container.init.wait(), 3, "status")
    guest.agent_ended = True
