"""The shell of `katrio call`: one call a line, from a terminal with completion and history, or from a pipe.

Errors are told and never end it; ^C drops the line, or cancels the call in flight. Not for scripts with conditions: those
are scenarios. Lines are readline's. The standard library's `cmd` is of no use here: its loop reads and calls without Trio, can't
tell the end of input from a line EOF, and makes the last call again for an empty line.
"""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, BinaryIO

import trio

from actors.cli.call.answers import ask, report_failed_call, show
from actors.cli.call.arguments import MAX_ARGUMENT_BYTES, parse_call
from actors.cli.call.fitting import Fitter
from actors.cli.call.interrupts import Interrupted, Interrupts
from actors.cli.call.listing import call_page, calls_page
from actors.cli.call.terminal import open_terminal
from actors.cli.exits import Exit
from actors.cli.options.arguments import MAX_REPEAT
from actors.cli.say import note, say
from actors.cli.signals import was_terminated
from actors.errors import InvalidArgument
from actors.scenario.language.kinds import Kind
from actors.scenario.language.scalars import parse
from actors.schemas.naming import find_rpc

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from actors.agents.kata.client import KataClient
    from actors.cli.call.options import CallOptions
    from actors.seams import Seams

__all__ = ["Shell"]

HELP = """\
a line is a call:    RPC field=value ...    RPC {"field": "value"}    RPC @FILE
  names in any case, as in CreateContainer or create-container; Tab completes calls and fields
  field=@FILE takes a field from a file; without fields, sensible ones are filled in
help [RPC]           this, or a call's fields
list                 every call
repeat N CALL        make a call N times
sleep DURATION       wait, as in 500ms or 2s
echo TEXT            print it
quit                 end; so does ^D. ^C drops the line, or cancels the call in flight"""
_SKIPPED_BYTES = 64 * 1024


class Shell:
    """Reads lines and makes their calls with `client`."""

    def __init__(self, options: CallOptions, client: KataClient, interrupts: Interrupts, seams: Seams) -> None:
        self._options = options
        self._client = client
        self._interrupts = interrupts
        self._seams = seams
        self._fitter = Fitter(options.address, options.seconds)
        self._worst = Exit.HELD
        self._commands: dict[str, Callable[[str], Awaitable[None]]] = {
            "help": self._help,
            "list": self._list,
            "repeat": self._repeat,
            "sleep": self._sleep,
            "echo": self._echo,
        }

    async def run(self) -> Exit:
        """Until the end of input or `quit`; from a pipe the worst exit of all lines, else 0."""
        terminal = sys.stdin.isatty()
        for line in self._typed() if terminal else self._piped():
            command, _, rest = line.strip().partition(" ")
            if command in ("quit", "exit"):
                break
            if command and not command.startswith("#"):
                await self._do(command, rest.strip())
        return Exit.HELD if terminal else self._worst

    def _piped(self) -> Iterator[str]:
        while True:
            with self._interrupts.reading():
                line, whole = _read_line(sys.stdin.buffer)
            if not line:
                return
            if whole:
                # what is no UTF-8 is kept, as in the words of a command: bytes may have it, and strings refuse it
                yield line.decode("utf-8", "surrogateescape")
            else:
                self._refuse(f"a line of over {MAX_ARGUMENT_BYTES} bytes: no call is so large; it was skipped")

    def _typed(self) -> Iterator[str]:
        note(f"{self._options.address}: type help, or a call; Tab completes, quit ends")
        with open_terminal((*self._commands, "quit")) as read_line:
            while True:
                try:
                    with self._interrupts.reading():
                        line = read_line("katrio> ")
                except KeyboardInterrupt:
                    # the line that was begun
                    say()
                    if was_terminated():
                        raise
                except EOFError:
                    say()
                    return
                except UnicodeDecodeError as error:
                    self._refuse(f"the line is no {error.encoding}: {error.reason}")
                else:
                    yield line

    async def _do(self, command: str, rest: str) -> None:
        try:
            own = self._commands.get(command)
            with self._interrupts.cancelling():
                await (own(rest) if own else self._call(command, rest))
        except InvalidArgument as error:
            self._note(Exit.USAGE)
            report_failed_call(error, command, as_json=self._options.json)
        except Interrupted:
            self._note(Exit.INTERRUPTED)
            if was_terminated():
                raise
            note("interrupted")

    async def _call(self, command: str, rest: str) -> None:
        call = parse_call(_words(command, rest), self._seams, defaults=self._options.defaults, stdin=False)
        answer = await ask(self._client, call, self._fitter)
        self._note(answer.exit)
        show(answer, as_json=self._options.json)

    async def _help(self, rest: str) -> None:
        say(*(HELP if rest in ("", "quit", *self._commands) else call_page(find_rpc(rest))).splitlines())

    async def _list(self, _: str) -> None:
        say(*calls_page().splitlines())

    async def _echo(self, text: str) -> None:
        say(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))

    async def _repeat(self, rest: str) -> None:
        count, _, line = rest.partition(" ")
        command, _, arguments = line.strip().partition(" ")
        if not (count.isdecimal() and 1 <= int(count) <= MAX_REPEAT and command):
            raise InvalidArgument(f"repeat: found {rest[:60]!r}, expected 1 to {MAX_REPEAT} and a call", field="repeat")
        for _ in range(int(count)):
            await self._call(command, arguments.strip())

    async def _sleep(self, rest: str) -> None:
        seconds = parse(Kind.DURATION, rest)
        if not isinstance(seconds, float):
            raise InvalidArgument(f"sleep: found {rest[:60]!r}, expected a duration such as 500ms", field="sleep")
        await trio.sleep(seconds)

    def _refuse(self, words: str) -> None:
        self._note(Exit.USAGE)
        report_failed_call(InvalidArgument(words, field="line"), "", as_json=self._options.json)

    def _note(self, code: Exit) -> None:
        self._worst = max(self._worst, code)


def _read_line(source: BinaryIO) -> tuple[bytes, bool]:
    """The next line, empty at the end, and whether that is all of it; of a longer one the rest is gone."""
    line = source.readline(MAX_ARGUMENT_BYTES + 1)
    if len(line) <= MAX_ARGUMENT_BYTES or line.endswith(b"\n"):
        return line, True
    while (rest := source.readline(_SKIPPED_BYTES)) and not rest.endswith(b"\n"):
        pass
    return line[:1], False


def _words(command: str, rest: str) -> list[str]:
    """As a POSIX shell splits it, but JSON needs no quotes. Raises: InvalidArgument."""
    if rest.startswith("{"):
        return [command, rest]
    try:
        return [command, *shlex.split(rest)]
    except ValueError as error:
        raise InvalidArgument(f"{command}: found {rest[:60]!r}: {error}", field="arguments", found=rest[:60]) from None
