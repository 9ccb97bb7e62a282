"""`katrio call` as a person types it, at a real guest: one call, many, a pipe, and the shell at a terminal."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from actors.agents.kata.client import open_kata_client
from actors.api import open_guest
from actors.cli.call.arguments import MAX_ARGUMENT_BYTES
from actors.errors import NotFound
from actors.launchers.addresses import serve_at
from actors.node.protocols import GuestProtocol
from actors.nurseries import open_collapsing_nursery
from actors.schemas.agent import GuestDetailsRequest, StartContainerRequest
from actors.words import Dialect
from tests.support.command_line import KATRIO, katrio
from tests.support.terminals import open_terminal
from transports.address import parse_agent_address

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

PROMPT = "katrio> "


@asynccontextmanager
async def a_guest(tmp_path: Path, protocol: GuestProtocol = GuestProtocol.TTRPC) -> AsyncGenerator[str]:
    """The address of a running one, without a sandbox yet."""
    directory = tmp_path / "r"
    directory.mkdir(mode=0o700)
    address = f"unix://{directory}/a.sock"
    async with (
        open_guest(engine="processes", protocol=protocol, run_dir=directory / "guests") as running,
        open_collapsing_nursery() as nursery,
    ):
        await nursery.start(serve_at, running, (parse_agent_address(address),))
        yield address
        nursery.cancel_scope.cancel()


async def beside(work: Callable[[str], None], tmp_path: Path) -> None:
    """Run `work` in a thread, at a guest's address."""
    with trio.fail_after(120):
        async with a_guest(tmp_path) as address:
            await trio.to_thread.run_sync(work, address)


def call(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    if not given:
        return katrio("call", *words, timeout=60)
    return subprocess.run(
        [KATRIO, "call", *words], capture_output=True, text=True, timeout=60, check=False, input=given
    )


def test_the_calls_and_their_fields_are_listed_without_an_agent() -> None:
    listed = call("--list").stdout.splitlines()
    assert len(listed) == 45
    assert any(line.startswith("GetOOMEvent ") for line in listed)
    fields = call("--list", "tty-win-resize").stdout
    assert "  row  uint32\n" in fields
    (told,) = json.loads(call("--list", "Check", "--json").stdout)
    assert told["response"] == [{"name": "status", "type": "UNKNOWN|SERVING|NOT_SERVING"}]


def test_what_cannot_be_is_told_before_anybody_is_dialled() -> None:
    done = call("--address", "unix:///no/such.sock", "PauseContainer", "contaner_id=one")
    assert (done.returncode, "did you mean container_id?" in done.stderr) == (2, True)
    assert call("Check").returncode == 2
    done = call("--address", "unix:///no/such.sock", "SignalProcess", '{"container_id": "\\ud800", "signal": 9}')
    assert (done.returncode, "SignalProcess.container_id" in done.stderr) == (2, True)
    done = call("--address", "unix:///no/such.sock", "Check", "--timeout", "0.2")
    assert done.returncode == 3
    assert done.stderr.startswith("katrio call: agent_unreachable: ")
    done = call("--address", "unix:///no/such.sock", "Check", "--timeout", "0.2", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["rpc"], told["error"]["code"]) == (3, "Check", "agent_unreachable")


async def test_a_container_lives_its_whole_life_by_calls(tmp_path: Path) -> None:
    def live(address: str) -> None:
        def lines(text: str) -> list[dict[str, Any]]:
            done = call("--address", address, "--json", given=text)
            told = [json.loads(line) for line in done.stdout.splitlines()]
            assert done.returncode == max((1 for one in told if "error" in one), default=0), done
            assert all(one["seconds"] >= 0 for one in told)
            return told

        (tmp_path / "in").write_bytes(b"\xffbytes\n")
        told = lines(
            "# from a sandbox to its container's exit\n"
            "CreateSandbox\n"
            """CreateContainer container_id=one image=dir:/ args='sh -c "cat; exit 3"'\n"""
            'StartContainer {"container_id": "one"}\n'
            f"write-stdin container_id=one data=@{tmp_path}/in\n"
            "close-stdin container_id=one\n"
            "read_stdout container_id=one\n"
            "ExecProcess container_id=one args=true\n"
            "WaitProcess container_id=one\n"
        )
        assert [one["rpc"] for one in told][1:4] == ["CreateContainer", "StartContainer", "WriteStdin"]
        assert told[5]["request"] == {"container_id": "one", "exec_id": "one", "len": 65536}
        assert told[5]["response"] == {"data": {"base64": "/2J5dGVzCg=="}}
        assert told[-1]["response"] == {"status": 3}
        done = call("--address", address, "RemoveContainer", "-", given='{"container_id": "one"}')
        assert done.returncode == 0
        assert done.stdout.startswith("RemoveContainer: done in ")
        done = call("--address", address, "RemoveContainer", "container_id=one")
        assert done.returncode == 1
        assert done.stderr.startswith("RemoveContainer: not_found: ")
        done = call("--address", address, "check", "--repeat", "20", "--json")
        assert len(done.stdout.splitlines()) == 20
        assert done.stderr.startswith("20 calls, 0 failed; p50 ")
        done = call("--address", address, "--timeout", "200ms", "GetOOMEvent", "--json")
        assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (3, "unknown")

    await beside(live, tmp_path)


async def test_a_pipe_of_lines_ends_with_the_worst_and_goes_on_after_errors(tmp_path: Path) -> None:
    def pipe(address: str) -> None:
        text = "check\nbogus\nWaitProcess container_id=none\nWriteStdin data='a\nsleep 10ms\necho between\nrepeat 2 check\nquit\nnever"
        done = call("--address", address, given=text)
        assert done.returncode == 2
        assert done.stdout.count("SERVING") == 3
        assert "between\n" in done.stdout
        assert [line.split(":")[0] for line in done.stderr.splitlines()] == [
            "katrio call",
            "WaitProcess",
            "katrio call",
        ]

    await beside(pipe, tmp_path)


async def test_a_pipe_of_bytes_that_are_no_calls_does_not_end_the_shell(tmp_path: Path) -> None:
    def pipe(address: str) -> None:
        given = b"\xff\necho a\xffb\nPauseContainer container_id=\xff\nWriteStdin data=\xff\n" + bytes(1000) + b"\n"
        given += bytes(MAX_ARGUMENT_BYTES + 200_000) + b"\necho next\ncheck\n" + bytes(MAX_ARGUMENT_BYTES + 1)
        done = subprocess.run(
            [KATRIO, "call", "--address", address], capture_output=True, timeout=60, check=False, input=given
        )
        assert done.returncode == 2
        assert "a\ufffdb\nnext\n" in done.stdout.decode()
        assert b"SERVING" in done.stdout
        told = done.stderr.decode().splitlines()
        assert [line.split(":")[0] for line in told] == [*["katrio call"] * 2, "WriteStdin", *["katrio call"] * 3]
        assert "PauseContainer.container_id" in told[1]
        assert all(f"a line of over {MAX_ARGUMENT_BYTES} bytes" in line for line in told[-2:])

    await beside(pipe, tmp_path)


async def test_the_shell_completes_remembers_and_outlives_errors_and_interrupts(tmp_path: Path) -> None:
    def talk(address: str) -> None:
        env = {**os.environ, "TERM": "xterm", "XDG_STATE_HOME": str(tmp_path / "state")}
        with open_terminal([KATRIO, "call", "--address", address], env=env) as terminal:
            terminal.expect(PROMPT)
            terminal.type("get-gu\t")
            terminal.expect("GetGuestDetails ")
            terminal.type("mem_b\t")
            terminal.expect("mem_block_size=")
            terminal.type("t\t\r")
            terminal.expect('"katrio.engine=processes"')
            terminal.expect(PROMPT)
            terminal.type("bogus one\r")
            terminal.expect("expected a call of the Kata agent API")
            terminal.expect(PROMPT)
            # its answers tell that it has begun; before, ^C would drop the line
            terminal.type("repeat 100000 version\r")
            terminal.expect("agent_version")
            terminal.interrupt()
            terminal.expect("interrupted")
            terminal.expect(PROMPT)
            # the same link still serves
            terminal.type("check\r")
            terminal.expect("SERVING")
            terminal.expect(PROMPT)
            # a line that was begun is dropped
            terminal.type("half a line")
            terminal.expect("half a line")
            terminal.interrupt_until(PROMPT)
            # the history has what was typed
            terminal.type("\x1b[A\r")
            terminal.expect("check\r\n")
            terminal.expect("SERVING")
            terminal.expect(PROMPT)
            terminal.type("help ReadStdout\r")
            assert "len  uint32" in terminal.expect(PROMPT)
            terminal.type("\x04")
            assert terminal.end() == 0
        kept = tmp_path / "state" / "katrio" / "call-history"
        assert kept.stat().st_mode & 0o777 == 0o600
        assert "repeat 100000 version" in kept.read_text()

    await beside(talk, tmp_path)


async def test_an_interrupt_of_one_call_ends_the_command(tmp_path: Path) -> None:
    def interrupt(address: str) -> None:
        words = [KATRIO, "call", "--address", address, "Check", "--json", "--repeat", "100000"]
        with open_terminal(words, env=os.environ) as terminal:
            terminal.expect("SERVING")
            terminal.interrupt()
            terminal.expect("interrupted")
            assert terminal.end() == 130

    await beside(interrupt, tmp_path)


@pytest.mark.parametrize("dialect", Dialect)
async def test_a_program_makes_calls_without_the_actors(dialect: Dialect, tmp_path: Path) -> None:
    with trio.fail_after(60):
        async with (
            a_guest(tmp_path, GuestProtocol(dialect)) as address,
            open_kata_client(address, dialect=dialect) as client,
        ):
            details = await client.call(GuestDetailsRequest())
            assert details.agent_details is not None
            assert details.agent_details.version.startswith("katrio ")
            with pytest.raises(NotFound, match="no such container"):
                await client.within(5).call(StartContainerRequest(container_id="none"))
