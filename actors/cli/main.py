"""Parses the command line and hands it to one command; imports nothing that takes time to start.

For the shell. Not for work: each command is a module of its own, imported when it is asked for.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from actors.cli import signals, streams
from actors.cli.exits import Exit
from actors.cli.options import (
    AGENTS,
    DEFAULT_CASES,
    DIALECTS,
    ENGINE_CHOICES,
    LACKING,
    MAX_JOBS,
    MAX_REPEAT,
    TESTED_AGENTS,
    ConformanceOptions,
    FileOptions,
    GuestOptions,
    RunOptions,
    UsageError,
    number,
)
from actors.cli.say import complain, note, say
from actors.limits import MOST_SLOW
from actors.words import WORLDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Protocol

    class _Commands(Protocol):
        """What `add_subparsers` gives; its own class is private."""

        @property
        def choices(self) -> Iterable[str]: ...

        def add_parser(self, name: str, **settings: Any) -> argparse.ArgumentParser: ...


__all__ = ["build_parser", "main"]

EXIT_CODES = """\
exit codes: 0 held, 1 failed, 2 bad file or usage, 3 infrastructure,
            4 everything skipped; 130, 143, 129 asked to end by ^C, SIGTERM, SIGHUP
            (all three stop in order; a second ^C or SIGTERM at once)"""
CONFORMANCE_EXIT_CODES = """\
exit codes: 0 all hold, are unsupported or known, 1 some fall short or hang, or the agent died, 2 usage,
            3 the agent can't be reached, 4 everything is unsupported; 130, 143, 129 asked to end by ^C, SIGTERM, SIGHUP"""
SLOW = number(float, 1, MOST_SLOW, what="how many times as slow, ")
SHELLS = ("bash", "zsh", "fish")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong and what was perhaps meant; the usage of twenty options would hide it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        choice = re.fullmatch(r"argument .*: invalid choice: '(.*)' \(choose from (.*)\)", message)
        like = _nearest(choice[1], [word.strip("' ") for word in choice[2].split(",")]) if choice else ""
        # of a number it says which, as all that is checked later does
        message = re.sub(r"^argument (\S+): (.*: expected )", r"\1 \2", message)
        note(f"{self.prog}: error: {message}{like}", f"what there is: {self.prog} --help")
        self.exit(Exit.USAGE)


class _Version(argparse.Action):
    """Asks the installed distribution; slow enough to be done only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        say(_version())
        parser.exit(Exit.HELD)


def _version() -> str:
    from importlib.metadata import version

    return f"katrio {version('katrio')}"


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, as argparse knows it; completion is generated from it."""
    parser = _Parser(
        prog="katrio",
        description="Sandboxes and containers as Trio actors: run scenario files against them.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and end")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_run(commands)
    validate = commands.add_parser("validate", help="check scenario files, run nothing")
    validate.add_argument("files", nargs="+", metavar="FILE")
    validate.add_argument("--json", action="store_true", help="print the faults as one JSON list")
    listing = commands.add_parser("list", help="say what scenario files are for")
    listing.add_argument("files", nargs="*", metavar="FILE", default=["scenarios"], help="default: scenarios")
    listing.add_argument("--json", action="store_true", help="print one JSON list")
    listing.add_argument("--filter", metavar="WORDS", help="only files with one of these words: one,other")
    record = commands.add_parser("record", help="run a Python scenario, and write what it asked as a file")
    record.add_argument("out", metavar="OUT.yaml", help="the scenario file to write")
    record.add_argument("program", metavar="PROGRAM.py", help="a file with an async def scenario(world)")
    record.add_argument(
        "--engine", choices=ENGINE_CHOICES, default="auto", help="what runs the containers (default: %(default)s)"
    )
    record.add_argument("--force", action="store_true", help="write over OUT.yaml when it is there")
    _add_conformance(commands)
    _add_guest(commands)
    commands.add_parser("schema", help="print the JSON Schema of scenario files")
    sweep = commands.add_parser("sweep", help="remove what dead owners left behind")
    _add_run_dir(sweep)
    doctor = commands.add_parser("doctor", help="say what works on this machine, and what to install")
    _add_run_dir(doctor)
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    verbs = commands.add_parser("verbs", help="say which verb each agent does")
    verbs.add_argument("--json", action="store_true", help="print one JSON list")
    _add_call(commands)
    commands.add_parser("version", help="print the version")
    completion = commands.add_parser("completion", help="print a shell's completion script")
    completion.add_argument("shell", choices=SHELLS)
    # the last, so that it knows them all
    helping = commands.add_parser("help", help="say how a command is used")
    helping.add_argument("about", nargs="?", metavar="COMMAND", choices=sorted(commands.choices))
    return parser


def _add_run(commands: _Commands) -> None:
    run = commands.add_parser(
        "run",
        help="run scenario files",
        description="Run scenario files, one after the other or several at once; the first that does not hold stops the rest.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument(
        "files", nargs="*", metavar="FILE", help="scenario files (.yaml, .py), directories of them, - for stdin"
    )
    run.add_argument("--world", choices=WORLDS, default="embedded", help="where to run (default: %(default)s)")
    run.add_argument("--agent", choices=AGENTS, default="kata", help="the agent to use (default: %(default)s)")
    _add_dialect(run)
    run.add_argument("--agent-config", metavar="FILE", help="the agent's configuration: .toml, .yaml or .json")
    run.add_argument(
        "--engine", choices=ENGINE_CHOICES, default="auto", help="of the embedded world (default: %(default)s)"
    )
    run.add_argument(
        "--seed",
        type=number(int, what="a whole number"),
        metavar="N",
        help="of the simulated world; drawn and told when left out",
    )
    run.add_argument("--seeds", metavar="A:B", help="every seed from A up to and not including B, on all cores")
    run.add_argument("--trace", metavar="FILE", help="write what happened in the simulated world, a line each")
    run.add_argument("--json", action="store_true", help="print one JSON object a file, and nothing else")
    _add_run_dir(run)
    run.add_argument(
        "--keep-going", action="store_true", help="go on with the next step, and the next file, after one did not hold"
    )
    run.add_argument(
        "--address",
        metavar="URL",
        help="of the attached world: where another program takes requests, or where an agent listens",
    )
    run.add_argument("--var", action="append", default=[], metavar="NAME=TEXT", help="a value for the file's vars")
    run.add_argument(
        "--filter",
        metavar="WORDS",
        help="only files with one of these words (one,other) in name, file, group or labels",
    )
    run.add_argument("--dry-run", action="store_true", help="say what would run, step by step, and start nothing")
    run.add_argument(
        "--jobs",
        type=number(int, 1, MAX_JOBS),
        metavar="N",
        help="run so many files at once, each in a world of its own",
    )
    run.add_argument(
        "--repeat", type=number(int, 1, MAX_REPEAT), default=1, metavar="N", help="run every file so many times"
    )
    run.add_argument(
        "--slow", type=SLOW, metavar="N", help="give the guest, and all that files allow a time for, N times as long"
    )
    run.add_argument("--journal", metavar="FILE", help="write everything that happened, a JSON object a line")
    run.add_argument("--junit", metavar="FILE", help="write JUnit XML")
    run.add_argument("--html", metavar="FILE", help="write one page with lanes over time")
    run.add_argument("--diff", nargs=2, metavar="JOURNAL", help="compare two journals step by step, and run nothing")


def _add_conformance(commands: _Commands) -> None:
    suite = commands.add_parser(
        "conformance",
        help="say what an agent does in every corner, case by case",
        description=(
            "Test an agent: at an address, or, without one, in a guest of katrio's own. The agent should serve nobody else "
            "meanwhile. Cases that could harm its machine or end it run with --destructive alone."
        ),
        epilog=CONFORMANCE_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    suite.add_argument(
        "--address",
        metavar="URL",
        help="where the agent listens, as unix:///run/x/agent.sock; hvsock, vsock, serial, ...",
    )
    _add_spoken(suite)
    suite.add_argument(
        "--engine", choices=ENGINE_CHOICES, default="auto", help="of a guest of our own (default: %(default)s)"
    )
    suite.add_argument(
        "--rootfs", metavar="PATH", help="a root with /bin/sh in the agent's sight (default: the one katrio makes here)"
    )
    suite.add_argument(
        "--lacks", action="append", choices=LACKING, default=[], help="the guest has none: what needs it is unsupported"
    )
    suite.add_argument("--destructive", action="store_true", help="also what could harm its machine, or end it")
    suite.add_argument(
        "--filter", metavar="WORDS", help="only cases with one of these words (one,other) in id or title"
    )
    suite.add_argument("--skip", metavar="WORDS", help="none of the cases with one of these words in id or title")
    suite.add_argument(
        "--known",
        metavar="FILE",
        help="what is known not to hold, a case a line: ID [VERDICT] [# why]; the rest is news",
    )
    suite.add_argument(
        "--agent-command",
        metavar="CMD",
        help="starts the agent at --address: a fresh one to begin with, after each loss, and for each destructive case",
    )
    suite.add_argument(
        "--slow", type=SLOW, default=1.0, metavar="N", help="wait N times as long, for an agent on a slow machine"
    )
    suite.add_argument(
        "--jobs",
        type=number(int, 1, MAX_JOBS),
        default=DEFAULT_CASES,
        metavar="N",
        help="so many cases at once (default: %(default)s)",
    )
    suite.add_argument("--json", action="store_true", help="print one JSON object, and nothing else")
    suite.add_argument("--junit", metavar="FILE", help="write JUnit XML")
    suite.add_argument("--html", metavar="FILE", help="write one page with every case")
    suite.add_argument("--list", action="store_true", help="say what would be run and why, and run nothing")


def _add_guest(commands: _Commands) -> None:
    guest = commands.add_parser(
        "guest",
        help="serve the embedded guest on an address, for clients of any kind",
        description="Serve a guest of its own in the foreground until ^C or SIGTERM, and leave nothing behind. "
        "A container's root is a directory of this machine, named by the client.",
    )
    guest.add_argument(
        "--address",
        required=True,
        metavar="URL",
        help="where to listen, as unix:///run/x/agent.sock; hvsock, vsock, ...",
    )
    _add_spoken(guest)
    guest.add_argument(
        "--engine", choices=ENGINE_CHOICES, default="auto", help="what runs containers (default: %(default)s)"
    )
    _add_run_dir(guest)
    guest.add_argument("--json", action="store_true", help="say ready as one JSON object")


def _add_call(commands: _Commands) -> None:
    call = commands.add_parser(
        "call",
        help="make one call of the Kata agent API, or open a shell for many",
        description="Make one call of the Kata agent API: RPC ['{json}' | @FILE | - | field=value ...]. Without RPC, a shell.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    call.add_argument("words", nargs="*", metavar="RPC", help="the call by its name in any case, and its fields")
    call.add_argument("--address", metavar="URL", help="where the agent listens, as in unix:///run/agent.sock")
    _add_dialect(call)
    call.add_argument("--list", action="store_true", help="show every call, or RPC's fields with their types")
    call.add_argument("--json", action="store_true", help="print one JSON object a call, and nothing else")
    call.add_argument(
        "--repeat", type=number(int, 1, MAX_REPEAT), default=1, metavar="N", help="make the call so many times"
    )
    call.add_argument("--timeout", metavar="SECONDS", help="of each call (default: 60; none for calls that wait)")
    call.add_argument("--no-defaults", action="store_true", help="send what is written, and fill nothing in")


def _add_spoken(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--agent", choices=TESTED_AGENTS, default="kata", help="whose protocol it speaks (default: %(default)s)"
    )
    _add_dialect(command)
    command.add_argument(
        "--tty-address", metavar="URL", help="of hyperstart's streams; known for .../hyper.sock and port 2718"
    )


def _add_dialect(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dialect", choices=DIALECTS, help="of the kata agent (default: ttrpc; grpc is Kata 1.x's)")


def _add_run_dir(command: argparse.ArgumentParser) -> None:
    command.add_argument("--run-dir", metavar="DIR", help="where the run directories of sandboxes and guests are")


def _nearest(word: str, right: Sequence[str]) -> str:
    from actors.suggest import did_you_mean

    return did_you_mean(word, right)


def main() -> int:
    """Run the command that this process was started as; the exit code. No signal that asks for the end counts after it."""
    try:
        code = _interruptible()
        signals.end_at_once_from_now_on()
    except KeyboardInterrupt:
        # one more, while the one before was on its way
        try:
            signals.end_now()
        except KeyboardInterrupt:
            # and another: nothing is called here in which a signal could raise
            os._exit(signals.asked.code)
    code = streams.settle(signals.settle(code))
    signals.ignore_from_now_on()
    return code


def _interruptible() -> int:
    try:
        streams.take_streams()
        return _run(sys.argv[1:])
    except KeyboardInterrupt:
        signals.end_at_once_from_now_on()
    except BaseExceptionGroup as group:
        signals.end_at_once_from_now_on()
        if group.subgroup(KeyboardInterrupt) is None:
            raise
    # before the command itself was there to stop in order, or past it
    complain("interrupted")
    return Exit.INTERRUPTED


def _run(argv: Sequence[str]) -> int:
    parser = build_parser()
    try:
        command = _prepared(parser, argv)
        # until now there was nothing that had to be ended in order
        signals.take_signals()
        return command()
    except SystemExit as end:
        # --help, --version, and words that argparse can't read
        return int(end.code or 0)


def _prepared(parser: argparse.ArgumentParser, argv: Sequence[str]) -> Callable[[], int]:
    """`_command`, without the collector: nearly all that imports make stays, and a tenth of their time was looking for the rest."""
    gc.disable()
    try:
        return _command(parser, argv)
    finally:
        gc.enable()


def _command(parser: argparse.ArgumentParser, argv: Sequence[str]) -> Callable[[], int]:
    """What the words ask for, with all that it needs imported."""
    words, unknown = parser.parse_known_args(argv)
    try:
        if words.command == "call" and all(not word.startswith("-") or word == "-" for word in unknown):
            # argparse takes one row of them; these came after an option
            words.words += unknown
        elif unknown:
            options = [f"--{name.replace('_', '-')}" for name in vars(words)]
            raise UsageError(f"unrecognized: {' '.join(unknown)}{_nearest(unknown[0], options)}")
        return _dispatch(parser, words)
    except UsageError as error:
        command = f"katrio {words.command}"
        note(f"{command}: error: {error}", f"what there is: {command} --help")
        return lambda: Exit.USAGE


def _dispatch(parser: argparse.ArgumentParser, words: argparse.Namespace) -> Callable[[], int]:
    match words.command:
        case "run":
            options = RunOptions.parsed(words)
            if options.diff is not None:
                from actors.cli.diff import diff

                return partial(diff, *options.diff, json=options.json)
            if options.world == "simulated":
                from actors.cli.seeds import run_simulated

                return partial(run_simulated, options)
            from actors.cli.run import run

            return partial(run, options)
        case "validate":
            from actors.cli.files import validate

            return partial(validate, FileOptions.parsed(words))
        case "list":
            from actors.cli.files import list_files

            return partial(list_files, FileOptions.parsed(words))
        case "record":
            from actors.cli.record import record

            return partial(record, Path(words.out), Path(words.program), engine=words.engine, force=words.force)
        case "conformance":
            from actors.cli.conformance import conformance

            return partial(conformance, ConformanceOptions.parsed(words))
        case "guest":
            from actors.cli.guest import guest

            return partial(guest, GuestOptions.parsed(words))
        case "doctor":
            from actors.cli.doctor import doctor

            return partial(doctor, as_json=words.json, run_dir=words.run_dir)
        case "sweep":
            from actors.cli.sweep import sweep

            return partial(sweep, words.run_dir)
        case "call":
            from actors.cli.call.command import call
            from actors.cli.call.options import CallOptions

            return partial(call, CallOptions.parsed(words))
        case "verbs":
            from actors.cli.verbs import verbs

            return partial(verbs, as_json=words.json)
        case _:
            return partial(_print_text, parser, words)


def _print_text(parser: argparse.ArgumentParser, words: argparse.Namespace) -> int:
    """What is generated from katrio itself."""
    if words.command == "version":
        say(_version())
    elif words.command == "help":
        # as `katrio COMMAND --help` does
        parser.parse_args([*([words.about] if words.about else []), "--help"])
    elif words.command == "schema":
        from actors.scenario.reading.schema import schema_text

        say(*schema_text().splitlines())
    else:
        from actors.cli.completion import completion

        say(*completion(parser, words.shell).splitlines())
    return Exit.HELD
