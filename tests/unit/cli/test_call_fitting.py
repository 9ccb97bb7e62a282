"""Whom `katrio call` names to an agent that looks nobody up: numbers, or nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from msgspec.structs import replace

from actors.agents.kata.client import KataClient
from actors.agents.kata.spec import oci_process, oci_spec
from actors.cli.call.arguments import Call
from actors.cli.call.fitting import Fitter
from actors.conformance.kata import KataTarget
from actors.errors import InvalidArgument
from actors.schemas import agent as api
from actors.schemas.oci import Root, User
from actors.schemas.rpcs import RPCS
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.doubles.opening import open_double

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from trio.testing import MockClock

ID = ProcessSpec(args=("id",))
NOBODY = User(uid=0, gid=0, username="user")


@pytest.fixture
async def client(autojump_clock: MockClock) -> AsyncGenerator[KataClient]:
    async with open_double("today") as running, trio.open_nursery() as nursery:
        target = running.target()
        assert isinstance(target, KataTarget)
        link = target.link()
        await nursery.start(link.run)
        client = KataClient(link, timeout=60)
        await client.call(api.CreateSandboxRequest(hostname="box", sandbox_id="box"))
        yield client
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("user", "asked", "expected"),
    [
        (NOBODY, None, "uid=1000 gid=1001"),
        (User(uid=0, gid=0), api.StringUser(uid="user"), "uid=1000 gid=1001"),
        (User(uid=0, gid=0), api.StringUser(gid="user"), "uid=0(root) gid=1001"),
        (User(uid=7, gid=0), api.StringUser(additionalGids=("user", "8")), "uid=7 gid=0(root) groups=1001,8"),
        (User(uid=1000, gid=5, username="user"), None, "uid=1000 gid=5"),
    ],
)
async def test_a_create_has_the_numbers_of_its_root(
    client: KataClient, tmp_path: Path, user: User, asked: api.StringUser | None, expected: str
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("user:x:1000:1001::/:\n")
    (tmp_path / "etc/group").write_text("user:x:1001:\n")
    spec = oci_spec(ContainerSpec(process=ID), str(tmp_path))
    spec = replace(spec, process=replace(oci_process(ID), user=user))
    request = api.CreateContainerRequest(container_id="one", exec_id="one", OCI=spec, string_user=asked)
    await Fitter("unix:///nowhere").call(client, Call(RPCS["CreateContainer"], request))
    await client.call(api.StartContainerRequest(container_id="one"))
    said = await client.call(api.ReadStdoutRequest(container_id="one", exec_id="one", len=1000))
    assert said.data.decode().strip() == expected


@pytest.mark.parametrize(
    "request_",
    [
        api.ExecProcessRequest("one", "x1", None, replace(oci_process(ID), user=NOBODY)),
        api.ExecProcessRequest("one", "x1", api.StringUser(gid="user"), oci_process(ID)),
        api.CreateContainerRequest(
            container_id="one", OCI=replace(oci_spec(ContainerSpec(process=ID), "/"), root=None), string_user=api.StringUser("user")
        ),
        api.CreateContainerRequest(
            container_id="one", OCI=replace(oci_spec(ContainerSpec(process=ID), "/"), root=Root(path="/no/such")), string_user=api.StringUser("user")
        ),
        api.CreateContainerRequest(
            container_id="one",
            OCI=replace(oci_spec(ContainerSpec(process=ID), "/"), process=replace(oci_process(ID), user=NOBODY)),
            string_user=api.StringUser(gid="0"),
        ),
    ],
)  # fmt: skip
async def test_a_name_that_nobody_looks_up_is_refused(client: KataClient, request_: api.ExecProcessRequest) -> None:
    rpc = RPCS[type(request_).__name__.removesuffix("Request")]
    with pytest.raises(InvalidArgument) as caught:
        await Fitter("unix:///nowhere").call(client, Call(rpc, request_))
    assert str(caught.value.details["field"]).startswith("user")
