"""Whatever a client, its links and an actor do in whatever order: no ask runs twice, and no answer is another's.

Scripts drawn by Hypothesis, each run in virtual time against a server whose bounds are small enough to be met often. The
client is honest about the counters it has used; what a dishonest one may do is in `test_hostile`.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.limits import DEFAULT_LIMITS
from actors.wire.codec import decode_value, encode
from actors.wire.envelope import VERSIONS, Ask, Cancel, Event, Failure, Hello, Reply, Welcome
from tests.support.office import Office, Peer, an_ask, an_office

if TYPE_CHECKING:
    from actors.mailbox import Request

LIMITS = replace(DEFAULT_LIMITS, inbox_messages=2, asks_in_flight=4, finished_answers=2, finished_answer_bytes=400)
# the ask was not run and will not be
NOT_RUN = {"busy", "expired", "cancelled", "not_found"}
CLIENTS = ("ann", "bob")

Id = tuple[str, int, int]


@dataclass
class Client:
    """One client as it sees itself."""

    name: str
    epoch: int = 1
    highest: int = 0
    peer: Peer | None = None
    read: int = 0
    # counters that were asked on the present link and may still be answered there
    awaited: set[int] = field(default_factory=set[int])


class Run:
    """One script, and what must hold after every step of it."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.clients = [Client(name) for name in CLIENTS]
        self.taken: Counter[Id] = Counter()
        self.given: dict[Id, int] = {}
        self.running: deque[Request] = deque()

    async def step(self, move: str, who: int, number: int) -> None:
        client = self.clients[who]
        match move:
            case "ask":
                await self.ask(client, client.highest + 1)
            case "again" if client.highest:
                await self.ask(client, recent(client, number))
            case "forget" if client.peer is not None and client.highest:
                client.highest += 1
                await self.send(client, an_ask(client.highest, watermark=recent(client, number)))
            case "cancel" if client.peer is not None and client.highest:
                counter = recent(client, number)
                client.awaited.discard(counter)
                await self.send(client, Cancel(counter))
            case "hang up" if client.peer is not None:
                await client.peer.endpoint.aclose()
                client.peer = None
            case "restart" if client.peer is None:
                client.epoch += 1
                client.highest = 0
            case "all of it":
                for part in ("ask", "take", "answer"):
                    await self.step(part, who, 0)
                return
            case "take" if len(self.office.inbox):
                request = await self.office.inbox.receive()
                self.taken[request.id] += 1
                self.running.append(request)
            case "answer" if self.running:
                self.running.rotate(number)
                request = self.running.popleft()
                self.given.setdefault(request.id, len(self.given))
                request.answer({"n": self.given[request.id]})
            case _:
                return
        await trio.testing.wait_all_tasks_blocked()
        self.check()

    async def ask(self, client: Client, counter: int) -> None:
        if client.peer is None:
            client.peer = await self.office.stranger()
            client.read = 0
            client.awaited.clear()
            await self.send(client, Hello(VERSIONS, client.name, client.epoch, client.highest + 1))
        client.highest = max(client.highest, counter)
        await self.send(client, an_ask(counter))

    async def send(self, client: Client, envelope: Ask | Cancel | Hello) -> None:
        assert client.peer is not None
        if isinstance(envelope, Ask):
            client.awaited.add(envelope.counter)
        await client.peer.endpoint.send(encode(envelope))

    def check(self) -> None:
        assert all(count == 1 for count in self.taken.values()), "an ask ran twice"
        for client in self.clients:
            if client.peer is None:
                continue
            assert not client.peer.ended
            for envelope in client.peer.envelopes[client.read :]:
                if isinstance(envelope, (Reply, Failure)):
                    self.check_answer(client, envelope)
                else:
                    assert isinstance(envelope, (Welcome, Event))
            client.read = len(client.peer.envelopes)

    def check_answer(self, client: Client, answer: Reply | Failure) -> None:
        client.awaited.discard(answer.counter)
        ask = (client.name, client.epoch, answer.counter)
        if isinstance(answer, Reply):
            assert decode_value(answer.result, dict[str, int]) == {"n": self.given[ask]}
        elif answer.code in NOT_RUN:
            assert ask not in self.taken, f"{answer.code}, and yet it was taken up"
        else:
            assert answer.code == "unknown"

    async def finish(self) -> None:
        """Everything that waits is taken and answered: by then whoever waited has an answer."""
        while len(self.office.inbox) or self.running:
            await self.step("take", 0, 0)
            await self.step("answer", 0, 0)
        for client in self.clients:
            assert client.peer is None or not client.awaited, f"{client.name} waits for {client.awaited} for ever"


def recent(client: Client, number: int) -> int:
    """One of the counters that it used last."""
    return client.highest - number % min(client.highest, 5)


async def play(script: list[tuple[str, int, int]], departed: int) -> None:
    async with an_office(limits=replace(LIMITS, departed_clients=departed)) as office:
        run = Run(office)
        for move, who, number in script:
            await run.step(move, who, number)
        await run.finish()


moves = st.sampled_from(
    ["ask", "again", "again", "all of it", "forget", "cancel", "hang up", "restart", "take", "answer"],
)
scripts = st.lists(st.tuples(moves, st.integers(0, len(CLIENTS) - 1), st.integers(0, 20)), min_size=25, max_size=80)


@settings(max_examples=150)
@given(scripts, st.integers(0, 1))
def test_no_ask_runs_twice_and_everybody_gets_an_answer_of_their_own(
    script: list[tuple[str, int, int]], departed: int
) -> None:
    trio.run(play, script, departed, clock=trio.testing.MockClock(autojump_threshold=0))
