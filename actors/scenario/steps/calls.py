"""The step that calls any verb by its name on the wire, whether or not it has a step of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from actors.scenario.language.kinds import Kind, Target, Text
from actors.scenario.stage.asking import ask_by_name
from actors.scenario.stage.draft import written
from actors.scenario.steps.base import Observed, StepFault, Valued
from actors.suggest import nearest
from actors.wire.sandbox_verbs import SANDBOX_VERBS
from actors.wire.verbs import CONTAINER_VERBS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from actors.scenario.stage.draft import Draft, Tree
    from actors.scenario.stage.recording import Asked
    from actors.scenario.stage.stage import Attempt

__all__ = ["STEPS", "Call"]


class Call(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Any verb of a sandbox or container by its name on the wire. Its value: the answer as JSON."""

    word = "call"
    example = "{call: one, verb: signal, args: {signal: 9}}"
    call: Annotated[Target, "The sandbox or container."]
    verb: Annotated[Text, "The verb's name in docs/protocol.md."]
    args: Annotated[dict[str, Any], Kind.ARGS, "Its arguments."] = msgspec.field(default_factory=dict[str, Any])

    def details(self, text: Callable[[str], str]) -> Iterator[str]:
        yield self.verb

    def faults(self) -> Iterator[StepFault]:
        """See `Step.faults`: whether there is such a verb, and whether it takes these arguments."""
        tables = (SANDBOX_VERBS, CONTAINER_VERBS)
        rows = [table[self.verb] for table in tables if self.verb in table and not table[self.verb].streams]
        if not rows:
            known = list(dict.fromkeys(name for table in tables for name, row in table.items() if not row.streams))
            expected = f"a verb: {', '.join(known)}"
            yield StepFault(("verb",), repr(self.verb), expected, nearest(self.verb, known), at=())
            return
        failures: list[str] = []
        for row in rows:
            try:
                msgspec.convert(self.args, row.args, strict=False)
            except msgspec.ValidationError as error:
                failures.append(str(error))
        if len(failures) == len(rows):
            fields = ", ".join(item.encode_name for item in msgspec.structs.fields(rows[0].args)) or "none"
            yield StepFault(("args",), failures[0], f"the arguments of {self.verb}: {fields}", at=())

    async def perform(self, attempt: Attempt) -> Observed:
        return Observed(await ask_by_name(self.call, self.verb, self.args, attempt))

    @classmethod
    def recorded(cls, ask: Asked, draft: Draft) -> list[Tree]:
        """See `Step.recorded`: whatever no other step repeats; of the system itself a file can't ask."""
        if not ask.to:
            return []
        fields: Tree = msgspec.to_builtins(ask.args)
        step: Tree = {cls.word: draft.target(ask.to), "verb": ask.verb}
        return [{**step, **({"args": written(fields)} if fields else {})}]


STEPS = (Call,)
