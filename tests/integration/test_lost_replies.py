"""Links that break under a call, on real containers: who is told what, what the actor finds out, who notices nothing."""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from actors.errors import AgentUnreachable, KatrioError, OutcomeUnknown
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.boxes import ENGINES, SLEEP
from tests.support.cuts import Cutter, cutting_system

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from actors.handles import ContainerHandle, SandboxHandle

SPEC = ContainerSpec(process=ProcessSpec(args=SLEEP))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def a_box(engine: str, tmp_path: Path) -> AsyncGenerator[tuple[Cutter, SandboxHandle]]:
    run_dir = tmp_path / "r"
    run_dir.mkdir(mode=0o700)
    cutter = Cutter()
    with trio.fail_after(60):
        async with cutting_system(engine, run_dir, cutter) as system:
            box = await system.create_sandbox("box")
            await box.start()
            yield cutter, box


async def state_after_what_was_unknown(container: ContainerHandle) -> str:
    """What the actor found out, once it has."""
    async with container.open_events() as events:
        while (state := (await anext(events)).event.state) == "starting":
            pass
        return state


@pytest.mark.parametrize("after", [True, False], ids=["reply-lost", "request-lost"])
async def test_a_start_in_doubt_is_found_out(engine: str, after: bool, tmp_path: Path) -> None:
    async with a_box(engine, tmp_path) as (cutter, box):
        one = await box.create_container("one", SPEC)
        cutter.cut("StartContainer", after=after)
        with pytest.raises(OutcomeUnknown):
            await one.start()
        assert cutter.cuts == 1
        assert await state_after_what_was_unknown(one) == ("running" if after else "ready")
        if not after:
            await one.start()
        assert (await (await one.exec("e1", ProcessSpec(args=("true",)))).wait()).code == 0


@pytest.mark.parametrize("after", [True, False], ids=["reply-lost", "request-lost"])
async def test_a_pause_and_a_resume_in_doubt_are_found_out(engine: str, after: bool, tmp_path: Path) -> None:
    async with a_box(engine, tmp_path) as (cutter, box):
        one = await box.create_container("one", SPEC)
        await one.start()
        cutter.cut("PauseContainer", after=after)
        with pytest.raises(OutcomeUnknown):
            await one.pause()
        # what comes next has its turn once the truth is known, and is right about it
        if after:
            with pytest.raises(KatrioError) as caught:
                await one.exec("e1", ProcessSpec(args=("true",)))
            assert caught.value.details["state"] == "paused"
        else:
            await one.exec("e1", ProcessSpec(args=("true",)))
            await one.pause()
        cutter.cut("ResumeContainer", after=after)
        with pytest.raises(OutcomeUnknown):
            await one.resume()
        if not after:
            await one.resume()
        await one.pause()
        assert (await one.info()).state == "paused"


@pytest.mark.parametrize("after", [True, False], ids=["reply-lost", "request-lost"])
async def test_an_exec_in_doubt_is_told_by_its_end(engine: str, after: bool, tmp_path: Path) -> None:
    async with a_box(engine, tmp_path) as (cutter, box):
        one = await box.create_container("one", SPEC)
        await one.start()
        cutter.cut("ExecProcess", after=after)
        with pytest.raises(OutcomeUnknown):
            await one.exec("e1", ProcessSpec(args=("sh", "-c", "exit 5")))
        if after:
            assert (await one.process("e1").wait()).code == 5
        else:
            with pytest.raises(OutcomeUnknown, match="does not know"):
                await one.process("e1").wait()


async def test_a_create_in_doubt_leaves_nothing_and_its_id_free(engine: str, tmp_path: Path) -> None:
    async with a_box(engine, tmp_path) as (cutter, box):
        cutter.cut("CreateContainer", after=True)
        with pytest.raises(OutcomeUnknown):
            await box.create_container("one", SPEC)
        assert (await box.info()).children == ()
        await (await box.create_container("one", SPEC)).start()


async def test_a_read_that_is_lost_changes_nothing_and_says_so(engine: str, tmp_path: Path) -> None:
    async with a_box(engine, tmp_path) as (cutter, box):
        one = await box.create_container("one", SPEC)
        await one.start()
        cutter.cut("ListProcesses", after=True)
        with pytest.raises(AgentUnreachable):
            await one.list_processes()
        assert len(await one.list_processes()) == 1


async def test_a_broken_link_concerns_its_owner_alone(engine: str, tmp_path: Path) -> None:
    async with a_box(engine, tmp_path) as (cutter, box):
        one, other = [await box.create_container(name, SPEC) for name in ("one", "other")]
        for container in (one, other):
            await container.start()
        ended: list[tuple[str, int]] = []

        async def wait(container: ContainerHandle) -> None:
            code = (await container.init.wait()).code
            ended.append((container.address, code))

        async with trio.open_nursery() as nursery:
            for container in (one, one, one, other):
                nursery.start_soon(wait, container)
            began = trio.current_time()
            cutter.cut("SignalProcess", after=False)
            with pytest.raises(OutcomeUnknown):
                await one.signal(signal.SIGUSR2)
            # the neighbour has a link of its own, and is asked over it at once
            assert (await (await other.exec("e1", ProcessSpec(args=("true",)))).wait()).code == 0
            assert trio.current_time() - began < 10
            assert ended == []
            # waits that were in flight go on over the next link
            for container in (one, other):
                await container.signal(signal.SIGKILL)
        assert sorted(ended) == [("box/one", 137)] * 3 + [("box/other", 137)]


async def test_output_goes_on_after_a_broken_link(engine: str, tmp_path: Path) -> None:
    count = "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo $i; done; read -r _; echo end"
    async with a_box(engine, tmp_path) as (_, box):
        one = await box.create_container("one", ContainerSpec(process=ProcessSpec(args=("sh", "-c", count))))
        await one.start()
        output = b""
        async with one.init.open_stdout() as parts:
            async for part in parts:
                output += part.data
                if output.endswith(b"200\n"):
                    await one.disconnect()
                    await one.init.write(b"go\n")
        assert output == b"".join(b"%d\n" % number for number in range(1, 201)) + b"end\n"
        assert (await one.init.wait()).code == 0
