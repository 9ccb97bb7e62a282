"""Steps about processes: started, signalled, written to, waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from actors.errors import KatrioError
from actors.scenario.language.declared import SizeDecl
from actors.scenario.language.kinds import Command, ContainerName, Kind, ProcessName, SignalNumber, Text
from actors.scenario.language.scalars import signal_name
from actors.scenario.stage.draft import process_tree, written
from actors.scenario.stage.recording import RECORDED_OUTPUT_BYTES
from actors.scenario.steps.base import CODE, COUNT, Acting, Observed, Valued, refused
from actors.wire.spec import ExitStatus, ProcessSpec, TerminalSize
from actors.wire.verbs import (
    Exec as ExecArgs,
)
from actors.wire.verbs import (
    ProcessRef,
    Signalled,
    WriteStdin,
)
from actors.wire.verbs import (
    Signal as SignalArgs,
)
from actors.wire.verbs import (
    Winsize as WinsizeArgs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from actors.scenario.stage.draft import Draft, Tree
    from actors.scenario.stage.recording import Asked, RecordedOutput
    from actors.scenario.stage.stage import Attempt

__all__ = ["STEPS", "CloseStdin", "Exec", "Signal", "Stdin", "Wait", "Winsize"]

# of a command, in a line for people
COMMAND_SHOWN = 40


class Exec(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """Starts one more process; `as` names it for later steps."""

    word = "exec"
    elsewhere = frozenset({"run"})
    example = '{exec: one, command: "echo hello; exit 3", env: {WHO: me}, as: greeting}'
    needs: ClassVar[tuple[str, ...]] = ("exec",)
    exec: Annotated[ContainerName, "The container to run it in."]
    command: Annotated[Command, "A list of words, or one text for `sh -c`."]
    env: Annotated[dict[str, Text], "Environment variables."] = msgspec.field(default_factory=dict[str, Text])
    cwd: Annotated[Text | None, "The working directory; `/` unless given."] = None
    user: Annotated[Text | None, "`uid`, `uid:gid`, `name` or `name:group`."] = None
    tty: Annotated[bool, "Whether it has a terminal."] = False
    size: Annotated[SizeDecl | None, "The terminal's size."] = None
    as_: Annotated[str | None, Kind.NEW_PROCESS, "A name for later steps."] = msgspec.field(default=None, name="as")

    def details(self, text: Callable[[str], str]) -> Iterator[str]:
        yield _shown(" ".join(text(word) for word in self.command))

    async def perform(self, attempt: Attempt) -> Observed:
        address = attempt.address(self.exec)
        name = attempt.text(self.as_) if self.as_ else None
        spec = ProcessSpec(
            args=tuple(attempt.text(word) for word in self.command),
            env={key: attempt.text(value) for key, value in self.env.items()},
            cwd=attempt.text(self.cwd or "/"),
            user=attempt.text(self.user or ""),
            tty=self.tty,
            size=TerminalSize(self.size.rows, self.size.columns) if self.size else None,
        )
        process = attempt.stage.fresh_process(name)
        container = attempt.container(self.exec)
        try:
            handle = await attempt.ask("exec", address, container.exec(process, spec, timeout=attempt.budget))
        except KatrioError as error:
            if name is not None and error.code in attempt.expected:
                why = refused(name, self.word, attempt, error)
                attempt.refused(name, address, container.process(process), why)
            raise
        attempt.watch(name or process, address, handle)
        return Observed()

    def leave_out(self, attempt: Attempt, why: str) -> None:
        """See `Step.leave_out`: later steps know that there is no such process."""
        if self.as_ is not None:
            address = attempt.address(self.exec)
            attempt.refused(attempt.text(self.as_), address, attempt.stage.container(address).init, why)

    @classmethod
    def recorded(cls, ask: Asked, draft: Draft) -> list[Tree]:
        if not isinstance(ask.args, ExecArgs):
            return []
        key, step = f"{ask.to} {ask.args.id}", {cls.word: draft.target(ask.to), **process_tree(ask.args.process)}
        # a name that is taken already stays with the process that has it
        if not ask.code or not draft.has(key):
            step["as"] = draft.named(key, ask.args.id, again=not ask.code)
        return [step]


class Signal(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Sends a signal; its value is how many processes got it. One that has ended is no error."""

    word = "signal"
    elsewhere = frozenset({"kill"})
    example = "{signal: one, with: USR1, all: true}"
    needs: ClassVar[tuple[str, ...]] = ("signals",)
    values = COUNT
    signal: Annotated[ProcessName, "The process; a container's name means its first one."]
    with_: Annotated[SignalNumber, "Which signal."] = msgspec.field(name="with")
    all: Annotated[bool, "To every process of the container."] = False

    def details(self, text: Callable[[str], str]) -> Iterator[str]:
        yield str(signal_name(self.with_))

    async def perform(self, attempt: Attempt) -> Observed:
        address = attempt.address(self.signal)
        if self.all:
            handle = attempt.container(address)
            sending = handle.signal(self.with_, all_processes=True, timeout=attempt.budget)
        else:
            sending = attempt.process(self.signal).signal(self.with_, timeout=attempt.budget)
        return Observed((await attempt.ask("signal", address, sending)).processes)

    @classmethod
    def recorded(cls, ask: Asked, draft: Draft) -> list[Tree]:
        if not isinstance(args := ask.args, SignalArgs):
            return []
        step: Tree = {cls.word: draft.process(ask.to, args.process), "with": signal_name(args.signal)}
        if args.all:
            step["all"] = True
        if isinstance(ask.answer, Signalled):
            step["expect"] = ask.answer.processes
        return [step]


class Winsize(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """Resizes the terminal of a process."""

    word = "winsize"
    elsewhere = frozenset({"resize"})
    example = "{winsize: one, rows: 40, columns: 120}"
    needs: ClassVar[tuple[str, ...]] = ("tty",)
    winsize: Annotated[ProcessName, "The process whose terminal it is."]
    rows: Annotated[int, "Lines."]
    columns: Annotated[int, "Characters in a line."]

    def details(self, text: Callable[[str], str]) -> Iterator[str]:
        yield f"{self.rows}x{self.columns}"

    async def perform(self, attempt: Attempt) -> Observed:
        resizing = attempt.process(self.winsize).winsize(self.rows, self.columns, timeout=attempt.budget)
        await attempt.ask("winsize", attempt.address(self.winsize), resizing)
        return Observed()

    @classmethod
    def recorded(cls, ask: Asked, draft: Draft) -> list[Tree]:
        if not isinstance(ask.args, WinsizeArgs):
            return []
        size = ask.args.size
        return [{cls.word: draft.process(ask.to, ask.args.process), "rows": size.rows, "columns": size.columns}]


class Stdin(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Writes `text`; its value is how many bytes went in."""

    word = "stdin"
    example = '{stdin: one, text: "a line\\n", expect: 7}'
    needs: ClassVar[tuple[str, ...]] = ("stdin",)
    values = COUNT
    stdin: Annotated[ProcessName, "The process to write to."]
    text: Annotated[Text, "What to write."]

    def details(self, text: Callable[[str], str]) -> Iterator[str]:
        yield f"{len(text(self.text).encode())} bytes"

    async def perform(self, attempt: Attempt) -> Observed:
        writing = attempt.process(self.stdin).write(attempt.text(self.text).encode(), timeout=attempt.budget)
        return Observed(await attempt.ask("write_stdin", attempt.address(self.stdin), writing))

    @classmethod
    def recorded(cls, ask: Asked, draft: Draft) -> list[Tree]:
        if not isinstance(ask.args, WriteStdin):
            return []
        text = written(ask.args.data.decode(errors="replace"))
        return [{cls.word: draft.process(ask.to, ask.args.process), "text": text}]


class CloseStdin(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """Ends the input of a process."""

    word = "close_stdin"
    example = "{close_stdin: one}"
    needs: ClassVar[tuple[str, ...]] = ("stdin",)
    close_stdin: Annotated[ProcessName, "The process whose input ends."]

    async def perform(self, attempt: Attempt) -> Observed:
        closing = attempt.process(self.close_stdin).close_stdin(timeout=attempt.budget)
        await attempt.ask("close_stdin", attempt.address(self.close_stdin), closing)
        return Observed()

    @classmethod
    def recorded(cls, ask: Asked, draft: Draft) -> list[Tree]:
        if ask.verb != cls.word or not isinstance(ask.args, ProcessRef):
            return []
        return [{cls.word: draft.process(ask.to, ask.args.process)}]


class Wait(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Waits for the end of a process and of its output; its value is the exit code."""

    word = "wait"
    example = "{wait: one, expect: {exit: 0, stdout: {contains: hello}}}"
    facets = frozenset({"error", "state", "value", "exit", "stdout", "stderr"})
    values = CODE
    of_init = True
    wait: Annotated[ProcessName, "The process to wait for."]

    async def perform(self, attempt: Attempt) -> Observed:
        waiting = attempt.process(self.wait).wait(timeout=attempt.budget)
        code = (await attempt.ask("wait", attempt.address(self.wait), waiting)).code
        return Observed(code, code, await attempt.whole(self.wait))

    @classmethod
    def recorded(cls, ask: Asked, draft: Draft) -> list[Tree]:
        """See `Step.recorded`; what was read of the outputs is expected where their process is first waited for."""
        if ask.verb != cls.word or not isinstance(ask.args, ProcessRef):
            return []
        name = draft.process(ask.to, ask.args.process)
        if not isinstance(ask.answer, ExitStatus):
            return [{cls.word: name}]
        expect: Tree = {"exit": ask.answer.code}
        steps: list[Tree] = [{cls.word: name, "expect": expect}]
        process = (ask.to, ask.args.process)
        for stream in ("stdout", "stderr") if process not in draft.told else ():
            if (output := draft.outputs.find(*process, f"read_{stream}")) is None:
                continue
            if (text := _plain(output)) is not None:
                expect[stream] = written(text)
            elif stream == "stdout":
                steps += [{"bytes": name, "expect": output.size}, {"sha256": name, "expect": output.sha256}]
        draft.told.add(process)
        return steps


def _shown(line: str) -> str:
    if len(line) <= COMMAND_SHOWN:
        return line
    line = line[: COMMAND_SHOWN - 3]
    # a value's name is shown whole or not at all
    begun = line.rfind("${")
    return f"{line[:begun] if begun > line.rfind('}') else line}..."


def _plain(output: RecordedOutput) -> str | None:
    """An output as a scenario sees it; None when it is too long to be read, or no text."""
    if output.size > RECORDED_OUTPUT_BYTES:
        return None
    try:
        text = output.data.decode().replace("\r\n", "\n").rstrip("\n")
    except UnicodeDecodeError:
        return None
    return text if all(char.isprintable() or char in "\n\t" for char in text) else None


STEPS = (Exec, Signal, Winsize, Stdin, CloseStdin, Wait)
