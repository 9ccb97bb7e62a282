"""How a guest lies: what the host may ask of it, and what it does instead of answering.

The words of the table in `tests.support.lies`. Each `ask_x` is one call of the agent interface; the others make what a
`HostileGuest` does with such a call.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import trio

from actors.schemas import agent as api
from actors.schemas import stats
from transports.ttrpc.codec import RESPONSE, encode_frame, encode_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from msgspec import Struct

    from actors.agents.kata.agent import KataAgent
    from tests.support.hostile_guest import Asked

    Does = Callable[[Asked], Awaitable[object]]
    Asks = Callable[[KataAgent], Awaitable[object]]

__all__ = [
    "KIB",
    "MIB",
    "STATS",
    "Asks",
    "Does",
    "answer",
    "answer_body",
    "answer_bytes",
    "ask_check",
    "ask_details",
    "ask_errors",
    "ask_interfaces",
    "ask_output",
    "ask_pause",
    "ask_pids",
    "ask_routes",
    "ask_serving",
    "ask_stats",
    "ask_table",
    "ask_wait",
    "ask_write",
    "claims",
    "close",
    "counters",
    "cpus",
    "cut",
    "details",
    "drip",
    "fail",
    "half_close",
    "honest_then",
    "long_status",
    "never",
    "processes",
    "replies_to_nobody_without_end",
    "reply",
    "sends",
    "then_honest",
    "unknown_types_without_end",
]

KIB, MIB = 1024, 1024 * 1024


# what the host asks


def ask_output(agent: KataAgent) -> Awaitable[object]:
    return agent.read_stdout("c1", "p1", 16)


def ask_errors(agent: KataAgent) -> Awaitable[object]:
    return agent.read_stderr("c1", "p1", 16)


def ask_write(agent: KataAgent) -> Awaitable[object]:
    return agent.write_stdin("c1", "p1", b"abc")


def ask_wait(agent: KataAgent) -> Awaitable[object]:
    return agent.wait_process("c1", "p1")


def ask_pause(agent: KataAgent) -> Awaitable[object]:
    return agent.pause_container("c1")


def ask_check(agent: KataAgent) -> Awaitable[object]:
    return agent.check()


def ask_pids(agent: KataAgent) -> Awaitable[object]:
    return agent.list_pids("c1")


def ask_table(agent: KataAgent) -> Awaitable[object]:
    return agent.list_table("c1", ())


def ask_stats(agent: KataAgent) -> Awaitable[object]:
    return agent.stats_container("c1")


def ask_details(agent: KataAgent) -> Awaitable[object]:
    return agent.get_guest_details()


def ask_interfaces(agent: KataAgent) -> Awaitable[object]:
    return agent.list_interfaces()


def ask_routes(agent: KataAgent) -> Awaitable[object]:
    return agent.list_routes()


async def ask_serving(agent: KataAgent) -> bool:
    return (await agent.check()).serving


# what the guest does


def answer(response: Struct) -> Does:
    return lambda asked: asked.struct(response)


def answer_bytes(payload: bytes) -> Does:
    return lambda asked: asked.payload_of(payload)


def answer_body(body: bytes) -> Does:
    return lambda asked: asked.body(body)


def fail(code: int, message: str) -> Does:
    return lambda asked: asked.body(long_status(code, message))


def long_status(code: int, message: str) -> bytes:
    """Like `encode_status`, which cuts what is too long."""
    text = message.encode()
    size = bytearray()
    rest = len(text)
    while rest > 0x7F:
        size.append(rest & 0x7F | 0x80)
        rest >>= 7
    size.append(rest)
    status = b"\x08" + bytes((code,)) + b"\x12" + bytes(size) + text
    # the same length prefix again, by way of a payload's
    return b"\x0a" + encode_response(status)[1:]


def raw(make: Callable[[Asked], bytes]) -> Does:
    return lambda asked: asked.send(make(asked))


def then_honest(*before: Callable[[Asked], bytes]) -> Does:
    async def lie(asked: Asked) -> None:
        for make in before:
            await asked.send(make(asked))
        await asked.honestly()

    return lie


def honest_then(*after: Callable[[Asked], bytes]) -> Does:
    async def lie(asked: Asked) -> None:
        await asked.honestly()
        for make in after:
            await asked.send(make(asked))

    return lie


def reply(stream_id: int, payload: bytes = b"") -> bytes:
    return encode_frame(RESPONSE, stream_id, encode_response(payload))


async def never(_: Asked) -> None:
    await trio.sleep_forever()


async def close(asked: Asked) -> None:
    await asked.stream.aclose()


async def half_close(asked: Asked) -> None:
    asked.raw.shutdown(socket.SHUT_WR)
    await trio.sleep_forever()


async def cut(asked: Asked) -> None:
    await asked.send(reply(asked.stream_id, b"x" * 64)[:40])
    await asked.stream.aclose()


async def drip(asked: Asked) -> None:
    for byte in reply(asked.stream_id, bytes(10_000)):
        await asked.send(bytes((byte,)))
        await trio.sleep(0.02)


def sends(length: int) -> Does:
    return lambda asked: asked.send(struct.pack(">IIBB", length, asked.stream_id, RESPONSE, 0) + bytes(length))


def claims(length: int) -> Does:
    return lambda asked: asked.send(struct.pack(">IIBB", length, asked.stream_id, RESPONSE, 0) + bytes(64 * KIB))


async def unknown_types_without_end(asked: Asked) -> None:
    while True:
        await asked.send(encode_frame(9, asked.stream_id, bytes(1000)) * 50)
        await trio.sleep(0.001)


async def replies_to_nobody_without_end(asked: Asked) -> None:
    while True:
        await asked.send(reply(2**31 + 1, bytes(1000)) * 50)
        await trio.sleep(0.001)


STATS = stats.StatsContainerResponse


def cpus(count: int) -> Does:
    usage = stats.CpuUsage(percpu_usage=tuple([1] * count))
    return answer(STATS(cgroup_stats=stats.CgroupStats(cpu_stats=stats.CpuStats(cpu_usage=usage))))


def counters(names: dict[str, int]) -> Does:
    memory = stats.MemoryStats(usage=stats.MemoryData(), stats=names)
    return answer(STATS(cgroup_stats=stats.CgroupStats(memory_stats=memory)))


def processes(text: bytes) -> Does:
    return answer(api.ListProcessesResponse(process_list=text))


def details(details: api.AgentDetails) -> Does:
    return answer(api.GuestDetailsResponse(agent_details=details))
