"""ttRPC itself: fragmented and coalesced frames, invalid ids, unknown methods, malformed bodies, deadlines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.conformance.case import Cases
from actors.conformance.expect import check, equal
from actors.conformance.raw_ttrpc import AGENT, HEALTH, RawTtrpc, frame, header, open_raw, request
from actors.conformance.together import outcome
from actors.node.protocols import GuestProtocol
from actors.schemas.oci import POSIXRlimit
from actors.schemas.rpcs import RPCS, encode_request
from transports.errors import StatusCode
from transports.ttrpc.codec import DATA, MAX_BODY

if TYPE_CHECKING:
    from actors.conformance.kata import Kata
    from transports.ttrpc.codec import Response

__all__ = ["CASES"]

CASES = Cases(protocols=(GuestProtocol.TTRPC,))

SOON = 8.0
UNIMPLEMENTED, INVALID, EXCEEDED = StatusCode.UNIMPLEMENTED, StatusCode.INVALID_ARGUMENT, StatusCode.DEADLINE_EXCEEDED


async def _refused(raw: RawTtrpc, stream_id: int, what: str, *codes: int) -> None:
    """Raises: FallsShort."""
    response: Response | None = None
    with raw.kata.quick(f"{what} is answered", SOON):
        response = await raw.answer(stream_id)
    assert response is not None, "quick has raised"
    check(bool(response.code), f"{what} is refused", response)
    names = (StatusCode(code).name for code in codes)
    raw.kata.check_code(what, _name(response.code), *names, message=response.message)


def _name(code: int) -> str:
    return StatusCode(code).name if code in tuple(StatusCode) else f"code {code}"


@CASES.add(
    "ttrpc.byte-by-byte",
    title="A request may come byte by byte",
    does="sends a health check one byte at a time",
    expects="it is answered",
    why="ttRPC frames lie on a byte stream: a read is no frame",
)
async def byte_by_byte(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        for byte in frame(1):
            await raw.send(bytes((byte,)))
            await kata.pass_time(0.001)
        equal((await raw.answer(1)).code, 0, "code")


@CASES.add(
    "ttrpc.header-alone",
    title="A header may come alone",
    does="sends a header, lets a while pass, and sends the body",
    expects="it is answered",
    why="what kills a hyperstart guest (hyperstart-wire 5) must not be a kata agent's end",
)
async def header_alone(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        whole = frame(1)
        await raw.send(whole[:10])
        await kata.pass_time(0.3)
        await raw.send(whole[10:])
        equal((await raw.answer(1)).code, 0, "code")


@CASES.add(
    "ttrpc.heap",
    title="Requests that come together are all answered",
    does="sends 32 health checks in one write",
    expects="32 answers, each on its own id",
    why="ttRPC: calls of a connection are served side by side",
)
async def heap(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        ids = range(1, 65, 2)
        await raw.send(b"".join(frame(number) for number in ids))
        for number in ids:
            equal((await raw.answer(number)).code, 0, f"code of stream {number}")


@CASES.add(
    "ttrpc.remote-closed",
    title="A request may say that nothing follows it",
    does="sends a health check with the flag remote-closed, as newer clients do",
    expects="it is answered",
    why="ttrpc 1.2: a unary call closes its stream with its request",
)
async def remote_closed(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        await raw.send(frame(1, flags=1))
        equal((await raw.answer(1)).code, 0, "code")


@CASES.add(
    "ttrpc.metadata",
    title="Metadata of a request that nobody knows is no harm",
    does="sends a health check with a key and its value",
    expects="it is answered",
    why="ttrpc's Request.metadata: Kata's client sends its trace in it",
)
async def metadata(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        pair = b"\x0a\x03key\x12\x05value"
        await raw.send(frame(1, request() + b"\x2a" + bytes((len(pair),)) + pair))
        equal((await raw.answer(1)).code, 0, "code")


@CASES.add(
    "ttrpc.unknown-fields",
    title="A field that is not in the API is passed over",
    does="sends a health check whose payload has a field of a newer API",
    expects="it is answered",
    why="protobuf: what is not known is skipped, so that an agent may be older than its client",
)
async def unknown_fields(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        await raw.send(frame(1, request(payload=b"\xfa\x3f\x03new")))
        equal((await raw.answer(1)).code, 0, "code")


@CASES.add(
    "ttrpc.unknown-method",
    title="A method that is not there is UNIMPLEMENTED",
    does="calls AgentService.NoSuchMethod, then checks over the same link",
    expects="UNIMPLEMENTED; the check is answered",
    why="clients tell an older agent by it; NOT_FOUND would say that the process has gone (agent-semantics 5.1)",
)
async def unknown_method(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        await raw.send(frame(1, request("NoSuchMethod", service=AGENT)))
        await _refused(raw, 1, "an unknown method", UNIMPLEMENTED)
        await raw.check(3)


@CASES.add(
    "ttrpc.unknown-service",
    title="A service that is not there is refused",
    does="calls a service of another name, then checks over the same link",
    expects="UNIMPLEMENTED or INVALID_ARGUMENT; the check is answered",
    why="ttrpc (Go) answers the one, ttrpc-rust the other",
)
async def unknown_service(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        await raw.send(frame(1, request("Check", service="no.such.Service")))
        await _refused(raw, 1, "an unknown service", UNIMPLEMENTED, INVALID)
        await raw.check(3)


@CASES.add(
    "ttrpc.unreadable-payload",
    title="A payload that is no message of the API is refused",
    does="calls ExecProcess and Check with bytes that are no protobuf, then checks over the same link",
    expects="INVALID_ARGUMENT within 8 s; the check is answered",
    why="agent-semantics 6.5 (68): what panics in a handler is never answered",
)
async def unreadable_payload(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        for stream_id, method, service in ((1, "ExecProcess", AGENT), (3, "Check", HEALTH)):
            await raw.send(frame(stream_id, request(method, b"\x0a\xff\xff\xff\xff\x0f", service=service)))
            await _refused(raw, stream_id, f"an unreadable payload of {method}", INVALID)
        await raw.check(5)


@CASES.add(
    "ttrpc.wrong-type",
    title="A field of another type is refused",
    does="calls SignalProcess with a number where the container's id belongs",
    expects="INVALID_ARGUMENT, or the id taken for empty and refused",
    why="protobuf: a wire type that is not the field's is an unknown field or an error, never a value",
)
async def wrong_type(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        await raw.send(frame(1, request("SignalProcess", b"\x08\x01", service=AGENT)))
        await _refused(raw, 1, "a field of another type")
        await raw.check(3)


@CASES.add(
    "ttrpc.unreadable-request",
    title="A request that can't be decoded is refused, and its link goes on",
    does="sends a frame whose body is no Request, then checks over the same link",
    expects="an error on its id; the check is answered",
    why="ttrpc (Go): unmarshal request error",
)
async def unreadable_request(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        await raw.send(frame(1, b"\xff" * 16))
        await _refused(raw, 1, "an unreadable request")
        await raw.check(3)


@CASES.add(
    "ttrpc.empty-request",
    title="A request without a service and a method is refused",
    does="sends a frame without a body, then checks over the same link",
    expects="an error on its id; the check is answered",
    why="ttRPC: an empty body is a Request with empty names",
)
async def empty_request(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        await raw.send(frame(1, b""))
        await _refused(raw, 1, "a request without a method")
        await raw.check(3)


@CASES.add(
    "ttrpc.even-id",
    title="An even stream id is refused",
    does="sends a health check on stream 2, then one on stream 3",
    expects="INVALID_ARGUMENT on 2; an answer on 3",
    why="ttRPC: clients' ids are odd; ttrpc-rust and Go refuse others",
)
async def even_id(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        await raw.send(frame(2))
        await _refused(raw, 2, "an even stream id", INVALID)
        await raw.check(3)


@CASES.add(
    "ttrpc.used-id",
    title="A stream id that was used is refused",
    does="sends a health check on stream 5, another on stream 5, then one on stream 7",
    expects="INVALID_ARGUMENT for the second; an answer on 7",
    why="ttRPC: an id is one call's; ttrpc (Go): StreamID cannot be re-used and must increment",
)
async def used_id(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        await raw.check(5)
        await raw.send(frame(5))
        await _refused(raw, 5, "a stream id that was used", INVALID)
        await raw.check(7)


@CASES.add(
    "ttrpc.data-to-nobody",
    title="Data for no stream does not end a link",
    does="sends a Data frame on a stream that was never opened, then checks over the same link",
    expects="the check is answered",
    why="ttRPC: answered on its id, or passed over",
)
async def data_to_nobody(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        await raw.send(frame(1, b"data", kind=DATA))
        await raw.check(3)


@CASES.add(
    "ttrpc.unknown-type",
    title="A frame of a type that nobody knows is passed over",
    does="sends a frame of type 9, then checks over the same link",
    expects="the check is answered",
    why="ttRPC: types may be added",
)
async def unknown_type(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        await raw.send(frame(1, b"what", kind=9))
        await raw.check(3)


@CASES.add(
    "ttrpc.deadline",
    title="A call whose time is up is answered so",
    does="waits for a process that does not end, with 0.2 s for the call, then checks over the same link",
    expects="DEADLINE_EXCEEDED within 8 s; the check is answered",
    why="ttRPC's timeout_nano: the server drops the handler (agent-semantics 5.1)",
)
async def deadline(kata: Kata) -> None:
    container = await kata.run()
    rpc = RPCS["WaitProcess"]
    payload = encode_request(rpc, rpc.request(container_id=container.id, exec_id=container.id))
    async with open_raw(kata) as raw:
        await raw.send(frame(1, request("WaitProcess", payload, service=AGENT, timeout_nano=200_000_000)))
        await _refused(raw, 1, "a wait whose time is up", EXCEEDED)
        await raw.check(3)


@CASES.add(
    "ttrpc.deadline-of-read",
    title="A read whose time is up loses nothing",
    does="reads an output that is silent, with 0.2 s for the call; then the process prints, and another read follows",
    expects="DEADLINE_EXCEEDED, then every byte",
    why="agent-semantics 6.4 (51): a read that was given up swallows the next chunk",
)
async def deadline_of_read(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("read line; echo first; read line; echo second")
    rpc = RPCS["ReadStdout"]
    payload = encode_request(rpc, rpc.request(container_id=container.id, exec_id=process.id, len=4096))
    async with open_raw(kata) as raw:
        await raw.send(frame(1, request("ReadStdout", payload, service=AGENT, timeout_nano=200_000_000)))
        await _refused(raw, 1, "a read whose time is up", EXCEEDED)
    await process.write(b"\n\n")
    equal(await process.rest(), b"first\nsecond\n", "its output is")


@CASES.add(
    "ttrpc.cut-frame",
    title="A link that ends within a frame harms nobody",
    does="sends half a frame and closes; checks over another link",
    expects="the check is answered",
    why="a client may be killed at any byte",
)
async def cut_frame(kata: Kata) -> None:
    for size in (1, 5, 10, 12):
        async with open_raw(kata) as raw:
            await raw.send(frame(1)[:size])
    async with open_raw(kata) as raw:
        await raw.check(1)


@CASES.add(
    "ttrpc.unknown-limit",
    title="A limit of a name that nobody knows is refused",
    does="execs with an rlimit RLIMIT_NOSUCH",
    expects="an answer within 8 s: an error, or the limit passed over; the agent goes on",
    why="agent-semantics 6.5 (68): an unknown rlimit panics in the Rust agent, and the call is never answered",
)
async def unknown_limit(kata: Kata) -> None:
    container = await kata.run()
    process = msgspec.structs.replace(
        kata.process("true"), rlimits=(POSIXRlimit(type="RLIMIT_NOSUCH", hard=1, soft=1),)
    )
    with kata.quick("an exec with an unknown limit is answered", SOON):
        await outcome(kata.call("ExecProcess", container_id=container.id, exec_id=kata.fresh("ex"), process=process))
    await container.check_alive()


@CASES.add(
    "ttrpc.oversize",
    title="A request that is too long is refused, and its link goes on",
    does="sends a frame of 4 MiB and one byte, then checks over the same link",
    expects="an error on its id; the check is answered",
    why="ttRPC: 4 MiB; the frame is read to its end and dropped, so that the next one is found",
    destructive=True,
)
async def oversize(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        await raw.send(header(MAX_BODY + 1, 1) + bytes(MAX_BODY + 1))
        await _refused(raw, 1, "a request that is too long")
        await raw.check(3)
