"""Wild values in every field of every verb: whoever gives them is told which field, and nothing else ever happens.

Through the handles, the mailbox, the actors, an agent and a whole guest of the simulated world, or with noop; in virtual time.
"""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.errors import InvalidArgument, KatrioError
from actors.simulation.run import simulate
from actors.wire.spec import ContainerSpec, ProcessSpec
from actors.worlds.simulated import open_simulated
from tests.support.wild import ARGUMENTS, CALLS, Place, is_own_name, places, related, spoiled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.handles import ContainerHandle, SandboxHandle, SystemHandle
    from actors.simulation.run import Simulation

AGENTS = ("noop", "kata", "hyperstart")
# what no caller's mistake may be answered with
FAULTS = frozenset({"internal", "agent_error", "protocol_error", "unknown", "agent_unreachable", "guest_died", "busy"})
# a guest of hyperstart's refuses without a word of why
WORDLESS = {"hyperstart": frozenset({"agent_error"})}
NASTY: tuple[Any, ...] = (
    -1, 0, 2**16, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**5000, True, None,
    math.nan, math.inf, -0.5, 1e300, "", "\0", "a\0b", "caf\udce9", "..", "/../x", "=", ":", "a:", "9" * 5000,
    "4294967295", "0:4294967295", "-1", "\x1b]0;x\a", "x" * 70_000, b"\xff", [], [1], {}, {"a": 1}, {1: 2},
    object(), PurePosixPath("/x"),
)  # fmt: skip
EVERYWHERE = [(verb, place) for verb, args in ARGUMENTS.items() for place in places(args)]
wild = st.one_of(
    st.sampled_from(NASTY),
    st.integers(),
    st.floats(),
    st.text(st.characters(), max_size=8),
    st.binary(max_size=8),
    st.lists(st.none() | st.integers() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=3) | st.integers(), st.none() | st.text(max_size=3), max_size=3),
)


class _Stage:
    """A system with a running container, made anew when a value was taken and ended it."""

    def __init__(self, system: SystemHandle, agent: str) -> None:
        self.system = system
        self.faults = FAULTS - WORDLESS.get(agent, frozenset())
        self.asked = 0

    async def one(self) -> ContainerHandle:
        box = await self.box()
        one = box.container("one")
        try:
            if (await one.info()).state == "running":
                return one
            await one.delete(force=True)
        except KatrioError:
            pass
        process = ProcessSpec(args=("sleep", "100000"))
        one = await box.create_container("one", ContainerSpec(process=process))
        await one.start()
        return one

    async def box(self) -> SandboxHandle:
        box = self.system.sandbox("box")
        try:
            if (await box.info()).state == "running":
                return box
            await box.delete(force=True)
        except KatrioError:
            pass
        box = await self.system.create_sandbox("box")
        await box.start()
        return box

    async def ask(self, verb: tuple[str, str], place: Place, value: object) -> None:
        """Raises: what is no KatrioError; AssertionError for one that tells the caller nothing of its own."""
        kind, name = verb
        args = spoiled(ARGUMENTS[verb], place, value)
        if place != ("id",) and hasattr(args, "id"):
            self.asked += 1
            args = type(args)(f"new-{self.asked}", *(getattr(args, field) for field in args.__struct_fields__[1:]))
        handle: Any = self.system
        if kind != "system":
            one = await self.one()
            handle = one if kind == "container" else self.system.sandbox("box")
        trouble = ""
        try:
            with trio.move_on_after(1000):
                await CALLS[verb](handle, args)
        except InvalidArgument as error:
            field = error.details["field"]
            if not (is_own_name(ARGUMENTS[verb], field) and related(place, field)):
                trouble = f"the field {field}: {error}"
        except KatrioError as error:
            if error.code in self.faults:
                trouble = f"{error.code}: {error}"
        except Exception as error:
            trouble = f"{type(error).__name__}: {error}"
        shown = "a long number" if isinstance(value, int) and abs(value) > 2**70 else f"{value!a:.60}"
        assert not trouble, f"{name} of a {kind} with {shown} as {place}: {trouble}"
        await self._tidy(name)

    async def _tidy(self, name: str) -> None:
        for made in (await self.system.info()).children if name == "create_sandbox" else ():
            await self.system.sandbox(made).delete(force=True)
        box = self.system.sandbox("box")
        for made in (await box.info()).children if name == "create_container" else ():
            if made != "one":
                await box.container(made).delete(force=True)


def _ask_all(agent: str, asks: Iterable[tuple[tuple[str, str], Place, object]]) -> None:
    async def main(simulation: Simulation) -> None:
        async with open_simulated(simulation, agent=agent) as world:
            stage = _Stage(world.system, agent)
            for verb, place, value in asks:
                await stage.ask(verb, place, value)

    simulate(main, 1)


def test_every_verb_with_arguments_is_asked() -> None:
    assert set(CALLS) == set(ARGUMENTS)


@pytest.mark.parametrize("agent", AGENTS[1:])
def test_nasty_values_in_every_field(agent: str) -> None:
    # a few for each field: together they are all, and a fault of a kind stands in many fields
    picked = ((verb, place, NASTY[index % len(NASTY)]) for index, (verb, place) in enumerate(EVERYWHERE * 4))
    _ask_all(agent, picked)


@pytest.mark.parametrize("agent", AGENTS)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_wild_values_in_any_field(agent: str, data: st.DataObject) -> None:
    asks = st.lists(st.tuples(st.sampled_from(EVERYWHERE), wild), max_size=15)
    _ask_all(agent, [(*where, value) for where, value in data.draw(asks)])
