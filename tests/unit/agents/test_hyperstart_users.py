"""Whom a hyperstart is told to run a process as: numbers of the root's own passwd, and none that it would crash over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from actors.agents.base import Channels
from actors.agents.hyperstart.agent import HyperstartAgent, connect_hyperstart
from actors.agents.hyperstart.config import HyperConfig
from actors.agents.hyperstart.user import numeric_user
from actors.errors import AgentError, InvalidArgument, NotFound
from actors.limits import DEFAULT_LIMITS
from actors.node.usertable import UserTable
from actors.wire.spec import ContainerSpec, ProcessSpec, SandboxSpec
from tests.support.hyperstart_guest import open_guest

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

TABLE = UserTable(
    passwd="root:x:0:0::/root:/bin/sh\napp:x:1000:50::/:\nodd:x:1001:60::/:\n1002:x:9:50::/:\nlike:x:1002:50::/:\nbad:x:?:0::/:\n",
    group="root:x:0:\nstaff:x:50:\nmore:x:70:app\n72:x:0:\nreal:x:72:\n",
)


@pytest.mark.parametrize(
    ("user", "sent"),
    [
        ("", ""),
        ("root", "0"),
        ("app", "1000"),
        # passwd's group, which the guest finds by itself: naming one that group lacks would be its end
        ("odd", "1001"),
        ("1000", "1000"),
        ("1000:50", "1000"),
        ("app:staff", "1000"),
        ("app:more", "1000:70"),
        ("1000:70", "1000:70"),
        ("0:70", "0:70"),
        ("7", "7"),
        ("7:0", "7"),
    ],
)
def test_numbers_that_it_takes_for_the_same_user(user: str, sent: str) -> None:
    assert numeric_user(user, TABLE) == sent


@pytest.mark.parametrize(
    ("user", "why"),
    [
        ("nosuch", "not in the container's /etc/passwd"),
        ("app:nosuch", "not in the container's /etc/group"),
        ("bad", "no number for it"),
        ("like", "for the name of uid 9"),
        ("1002", "for the name of uid 9"),
        ("1000:72", "for the name of group 0"),
        ("7:70", "gives it group 0"),
        ("1000:71", "crashes over it"),
        ("4294967295", "expected 0 to"),
        ("٣", "expected 0 to"),
    ],
)
def test_whom_it_would_not_find_is_refused(user: str, why: str) -> None:
    with pytest.raises(InvalidArgument, match=why) as caught:
        numeric_user(user, TABLE)
    assert caught.value.details["field"] == "process.user"


def test_of_a_root_out_of_sight_a_uid_alone_is_sent() -> None:
    table = UserTable(missing="/nowhere: No such file or directory")
    assert numeric_user("1000", table) == "1000"
    for user in ("app", "root", "0:0", "1000:70"):
        with pytest.raises(InvalidArgument, match="it can't: /nowhere") as caught:
            numeric_user(user, table)
        assert caught.value.details["field"] == "process.user"


async def _run(agent: HyperstartAgent, root: Path, user: str) -> HyperstartAgent:
    lease = agent.lease()
    script = "id -u; id -g; while true; do sleep 0.1; done"
    spec = ContainerSpec(process=ProcessSpec(args=("sh", "-c", script), user=user))
    await lease.create_container("c1", spec, str(root))
    await lease.start_container("c1")
    return lease


@pytest.mark.parametrize("config", [HyperConfig(), HyperConfig(sock_ctl_name="unix:///run/x/hyper.sock")])
async def test_a_guest_at_an_address_is_sent_what_the_root_had_at_the_create(
    config: HyperConfig, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The simulated guest has a passwd of its own, where nobody is 65534; so who looked shows."""
    (tmp_path / "etc").mkdir()
    passwd = tmp_path / "etc" / "passwd"
    passwd.write_text("root:x:0:0::/:\nnobody:x:1234:0::/:\n")
    attached = bool(config.sock_ctl_name)
    async with open_guest() as guest, trio.open_nursery() as nursery:
        agent = connect_hyperstart(Channels(guest.dial_control, guest.dial_streams), DEFAULT_LIMITS, config)
        await nursery.start(agent.run)
        await agent.create_sandbox("box", SandboxSpec())
        one = await _run(agent, tmp_path, "nobody")
        expected = b"1234\n" if attached else b"65534\n"
        assert await one.read_stdout("c1", "c1", len(expected)) == expected
        # too late to be somebody else
        passwd.write_text("nobody:x:0:0::/:\nlate:x:0:0::/:\n")
        await one.exec_process("c1", "e1", ProcessSpec(args=("id", "-u"), user="nobody"))
        assert await one.read_stdout("c1", "e1", 1 << 16) == expected
        for user in ("late", "nosuch"):
            # of its own guest's refusals there is no word on this wire
            with pytest.raises(InvalidArgument if attached else AgentError) as caught:
                await one.exec_process("c1", "e2", ProcessSpec(args=("id",), user=user))
            assert caught.value.details.get("field") == ("process.user" if attached else None)
        if attached:
            with pytest.raises(InvalidArgument, match="user 'nosuch'"):
                await agent.create_container(
                    "c2", ContainerSpec(process=ProcessSpec(args=("id",), user="nosuch")), str(tmp_path)
                )
            with pytest.raises(NotFound):
                await agent.container_state("c2")
        nursery.cancel_scope.cancel()
