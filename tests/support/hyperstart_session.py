"""A session with a real hyperstart 1.1.0 as it was on the wire, and its commands built anew.

The bytes are in `tests/data/hyperstart`: each send and receive in order, and each channel's whole stream.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from transports.hyperstart.codec import Code
from transports.hyperstart.messages import (
    Container,
    EnvironmentVariable,
    Exec,
    File,
    Kill,
    Pod,
    Process,
    Remove,
    SignalProcess,
    WinSize,
    encode_json,
)

__all__ = ["COMMANDS", "SESSION", "Step", "stream"]

DATA = Path(__file__).parents[1] / "data" / "hyperstart"


class Step(NamedTuple):
    """One send or receive; `channel` is ctl or tty."""

    channel: str
    from_host: bool
    data: bytes


def _session() -> tuple[Step, ...]:
    rows = [json.loads(line) for line in (DATA / "session.jsonl").read_text().splitlines()]
    return tuple(
        Step(row["chan"], row["dir"] == ">", bytes.fromhex(row["hex"])) for row in rows if row["chan"] != "note"
    )


def stream(channel: str, direction: str) -> bytes:
    """All bytes of one channel in one direction."""
    return (DATA / f"{channel}.{direction}.bin").read_bytes()


SESSION = _session()


def _captured(number: int) -> bytes:
    """The payload of the captured command of that number."""
    commands = [step.data for step in SESSION if step.channel == "ctl" and step.from_host]
    return commands[number][8:]


def _process(number: int, name: str) -> Process:
    """The captured process's own script and variables; the rest is written out below."""
    found = json.loads(_captured(number))["process"]
    return Process(
        id=name,
        terminal=found["terminal"],
        stdio=found["stdio"],
        stderr=found.get("stderr", 0),
        args=tuple(found["args"]),
        envs=tuple(EnvironmentVariable(env=one["env"], value=one["value"]) for one in found.get("envs", ())),
        workdir=found.get("workdir", ""),
    )


# what was sent, built from values: two codes that no host of ours sends among them
COMMANDS: tuple[tuple[int, bytes], ...] = (
    (Code.GETVERSION, b""),
    (Code.PING, b""),
    (Code.READY, b""),
    (Code.STARTPOD, encode_json(Pod(hostname="peerpod"))),
    (Code.NEWCONTAINER, encode_json(Container(id="c1", rootfs="rootfs", image="bb", process=_process(4, "init")))),
    (Code.EXECCMD, encode_json(Exec(container="c1", process=_process(5, "p1")))),
    (
        Code.EXECCMD,
        encode_json(
            Exec(
                container="c1",
                process=Process(
                    id="p2",
                    terminal=True,
                    stdio=5,
                    args=("/bin/sh",),
                    envs=(EnvironmentVariable(env="PS1", value="$ "),),
                    workdir="/",
                ),
            )
        ),
    ),
    (Code.WINSIZE, encode_json(WinSize(container="c1", process="p2", row=40, column=132))),
    (
        Code.EXECCMD,
        encode_json(
            Exec(
                container="c1",
                process=Process(id="p3", terminal=False, stdio=6, stderr=7, args=("sleep", "100"), workdir="/"),
            )
        ),
    ),
    (Code.SIGNALPROCESS, encode_json(SignalProcess(container="c1", process="p3", signal=15))),
    (Code.SIGNALPROCESS, encode_json(SignalProcess(container="c1", process="init", signal=10))),
    (Code.WRITEFILE, encode_json(File(container="c1", file="/tmp/w")) + b"file body\x00\xff"),
    (Code.READFILE, encode_json(File(container="c1", file="/tmp/w"))),
    (Code.READFILE, encode_json(File(container="c1", file="/tmp/none"))),
    (2, b""),
    (99, b""),
    (Code.KILLCONTAINER, encode_json(Kill(container="nope", signal=9))),
    (Code.WINSIZE, encode_json(WinSize(container="c1", process="init", row=1, column=1))),
    (Code.KILLCONTAINER, encode_json(Kill(container="c1", signal=9))),
    (Code.REMOVECONTAINER, encode_json(Remove(container="c1"))),
    (
        Code.NEWCONTAINER,
        encode_json(Container(id="c2", rootfs="rootfs", image="vda", fstype="ext4", process=_process(20, "init"))),
    ),
    (Code.DESTROYPOD, b""),
)
