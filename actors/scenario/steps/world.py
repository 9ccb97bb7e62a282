"""Steps that go past actors and agents: to the world itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from actors.errors import Unsupported
from actors.scenario.language.kinds import Kind
from actors.scenario.language.needs import FaultOf, Need, ProbeOf
from actors.scenario.stage.outcomes import Undeterminable
from actors.scenario.steps.base import Look, Observed, Single

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from actors.scenario.stage.stage import Attempt

__all__ = ["STEPS", "Fault", "Probe"]


class Probe(Look, frozen=True, kw_only=True, omit_defaults=True):
    """Asks the world itself, past actors, agent and guest."""

    word = "probe"
    example = "{probe: {freezer: one}, expect: frozen}"
    probe: Annotated[ProbeOf, Kind.PROBE, "What to ask, and the container to ask it of."]

    @property
    def about(self) -> str:
        return self.probe.container

    def subject(self, text: Callable[[str], str]) -> Iterator[str]:
        yield from (self.probe.kind, text(self.probe.container))

    def undeterminable(self, attempt: Attempt) -> Undeterminable | None:
        world = attempt.stage.world
        return Undeterminable(world.missing[Need.PROBES]) if Need.PROBES in world.missing else None

    async def perform(self, attempt: Attempt) -> Observed:
        if (trouble := self.undeterminable(attempt)) is not None:
            raise trouble
        kind, address = self.probe.kind, attempt.address(self.probe.container)
        sandbox, container = address.split("/")
        asking = attempt.stage.world.probe(kind, sandbox, container)
        try:
            return Observed(await attempt.ask(f"probe {kind}", address, asking))
        except Unsupported as error:
            raise Undeterminable(error.message) from error


class Fault(Single, frozen=True, kw_only=True, omit_defaults=True):
    """Breaks a part of the world, past actors and agent."""

    word = "fault"
    example = "{fault: {kill_guest: box}}"
    facets = frozenset({"error"})
    needs: ClassVar[tuple[str, ...]] = ("faults",)
    fault: Annotated[FaultOf, Kind.FAULT, "What to break, and the sandbox that it happens to."]

    @property
    def about(self) -> str:
        return self.fault.sandbox

    def subject(self, text: Callable[[str], str]) -> Iterator[str]:
        yield from (self.fault.kind, text(self.fault.sandbox))

    async def perform(self, attempt: Attempt) -> Observed:
        kind, sandbox = self.fault.kind, attempt.address(self.fault.sandbox)
        await attempt.ask(f"fault {kind}", sandbox, attempt.stage.world.fault(kind, sandbox))
        return Observed()


STEPS = (Probe, Fault)
