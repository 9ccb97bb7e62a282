"""The words of a command line as frozen, validated options.

For `main`, which parses, and the commands, which get nothing else. Not for what the files contain.
"""

from __future__ import annotations

import argparse
import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from actors.words import AUTO, ENGINES, AgentType, Dialect
from transports.address import parse_agent_address, parse_dialled_address, streams_address
from transports.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Callable

    from transports.address import Address

__all__ = [
    "AGENTS",
    "DEFAULT_CASES",
    "DIALECTS",
    "ENGINE_CHOICES",
    "LACKING",
    "MAX_JOBS",
    "MAX_REPEAT",
    "TESTED_AGENTS",
    "ConformanceOptions",
    "FileOptions",
    "GuestOptions",
    "RunOptions",
    "UsageError",
    "number",
]

# the default first; all but noop speak a protocol
AGENTS = tuple(str(agent) for agent in reversed(AgentType))
TESTED_AGENTS = tuple(agent for agent in AGENTS if agent != AgentType.NOOP)
DIALECTS = tuple(map(str, Dialect))
# what a guest under test may be said to lack
LACKING = ("cgroups", "isolation", "tty")
ENGINE_CHOICES = (AUTO, *ENGINES)
# worlds open at once: each has guests, threads and descriptors of its own
MAX_JOBS = 64
# cases at once: most wait for their agent
DEFAULT_CASES = 8
MAX_REPEAT = 100_000
# of one command: the digests of all are kept
MAX_SEEDS = 1_000_000


N = TypeVar("N", int, float)


class UsageError(Exception):
    """The words are fine each by itself and make no sense together; the message says what to write."""


def number(
    read: Callable[[str], N], least: float = -math.inf, most: float = math.inf, *, what: str = ""
) -> Callable[[str], N]:
    """The `type` of an option: what `read` makes of its text, within both bounds; else it is told what was expected."""
    expected = what + (f"{least:g} to {most:g}" if most < math.inf else "")

    def bounded(text: str) -> N:
        try:
            found = read(text)
        except ValueError:
            found = None
        if found is None or not least <= found <= most:
            raise argparse.ArgumentTypeError(f"{text:.40}: expected {expected}")
        return found

    return bounded


@dataclass(frozen=True, slots=True)
class FileOptions:
    """Of commands that only read files."""

    files: tuple[Path, ...]
    json: bool
    words: tuple[str, ...] = ()

    @classmethod
    def parsed(cls, words: argparse.Namespace) -> FileOptions:
        """Validate what argparse found."""
        return cls(tuple(Path(file) for file in words.files), words.json, _words(getattr(words, "filter", None)))


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Of `katrio run`. `run_dir` None: the default of this user on this host."""

    files: tuple[Path, ...]
    world: str
    agent: str
    engine: str
    seed: int | None
    json: bool
    run_dir: Path | None
    keep_going: bool
    address: str | None = None
    # the agent's
    agent_config: Path | None = None
    dialect: str | None = None
    # for the files' vars
    given: tuple[tuple[str, str], ...] = ()
    # of --filter
    words: tuple[str, ...] = ()
    dry_run: bool = False
    jobs: int = 1
    repeat: int = 1
    # how many times as long as usual a guest may take
    slow: float = 1.0
    journal: Path | None = None
    junit: Path | None = None
    html: Path | None = None
    diff: tuple[Path, Path] | None = None
    # of the simulated world; `jobs` 0 is then one for each core
    seeds: range | None = None
    trace: Path | None = None

    @classmethod
    def parsed(cls, words: argparse.Namespace) -> RunOptions:
        """Validate what argparse found. Raises: UsageError."""
        seeds = _seeds(words)
        if words.engine != "auto" and words.world != "embedded":
            raise UsageError(f"--engine is for --world embedded; the {words.world} world brings its own")
        if words.engine != "auto" and words.agent == "noop":
            raise UsageError("--engine has no effect with --agent noop, which runs nothing")
        _check_dialect(words)
        if words.world == "attached" and words.address is None and not words.diff:
            raise UsageError("--world attached needs --address URL: where another katrio, or an agent, listens")
        if words.address is not None and words.world != "attached" and not words.diff:
            raise UsageError(f"--address is for --world attached; the {words.world} world starts its own agents")
        if words.address is not None and (words.jobs or 1) > 1 and _is_agent(words.address):
            raise UsageError("--jobs is for worlds with many sandboxes; an agent at an --address has one at a time")
        if bool(words.files) == bool(words.diff):
            raise UsageError("--diff compares two journals and runs nothing" if words.diff else "which files to run?")
        return cls(
            files=tuple(Path(file) for file in words.files),
            world=words.world,
            agent=words.agent,
            engine=words.engine,
            seed=words.seed,
            json=words.json,
            run_dir=_path(words.run_dir, absolute=True),
            keep_going=words.keep_going,
            address=words.address,
            agent_config=_path(words.agent_config),
            dialect=words.dialect,
            given=tuple(_given(word) for word in words.var),
            words=_words(words.filter),
            dry_run=words.dry_run,
            jobs=0 if seeds and words.jobs is None else words.jobs or 1,
            repeat=words.repeat,
            slow=_slow(words),
            journal=_path(words.journal),
            junit=_path(words.junit),
            html=_path(words.html),
            diff=(Path(words.diff[0]), Path(words.diff[1])) if words.diff else None,
            seeds=seeds,
            trace=_path(words.trace),
        )


@dataclass(frozen=True, slots=True)
class ConformanceOptions:
    """Of `katrio conformance`. `addresses` as in `GuestOptions`, none for a guest of our own."""

    addresses: tuple[Address, ...]
    agent: str
    dialect: str
    engine: str
    rootfs: str | None
    destructive: bool
    words: tuple[str, ...]
    jobs: int
    json: bool
    junit: Path | None
    html: Path | None
    listing: bool
    lacks: frozenset[str] = frozenset()
    skipped: tuple[str, ...] = ()
    known: Path | None = None
    slow: float = 1.0
    # of an agent that is started anew whenever one is needed
    command: tuple[str, ...] = ()

    @classmethod
    def parsed(cls, words: argparse.Namespace) -> ConformanceOptions:
        """Validate what argparse found. Raises: UsageError."""
        _check_dialect(words)
        if words.engine != "auto" and words.address is not None:
            raise UsageError("--engine is for a guest of our own; the agent at --address brings its own")
        if words.tty_address is not None and words.address is None:
            raise UsageError("--tty-address goes with --address URL; a guest of our own needs neither")
        addresses = agent_addresses(words, parse_dialled_address) if words.address is not None else ()
        if words.rootfs is not None and not words.rootfs.startswith("/"):
            raise UsageError(f"--rootfs {words.rootfs}: expected an absolute path, as the agent sees it")
        if words.agent_command is not None and not addresses:
            raise UsageError("--agent-command goes with --address URL, where what it starts listens")
        return cls(
            addresses=addresses,
            agent=words.agent,
            dialect=words.dialect or DIALECTS[0],
            engine=words.engine,
            rootfs=words.rootfs,
            destructive=words.destructive,
            words=_words(words.filter),
            jobs=words.jobs,
            json=words.json,
            junit=_path(words.junit),
            html=_path(words.html),
            listing=words.list,
            lacks=frozenset(words.lacks),
            skipped=_words(words.skip),
            known=_path(words.known),
            slow=words.slow,
            command=_command("--agent-command", words.agent_command),
        )


@dataclass(frozen=True, slots=True)
class GuestOptions:
    """Of `katrio guest`. `addresses`: the agent's, or those of hyperstart's control and stream channels."""

    addresses: tuple[Address, ...]
    agent: str
    dialect: str
    engine: str
    json: bool
    run_dir: Path | None

    @classmethod
    def parsed(cls, words: argparse.Namespace) -> GuestOptions:
        """Validate what argparse found. Raises: UsageError."""
        return cls(
            addresses=agent_addresses(words, parse_agent_address),
            agent=words.agent,
            dialect=words.dialect or DIALECTS[0],
            engine=words.engine,
            json=words.json,
            run_dir=_path(words.run_dir, absolute=True),
        )


def agent_addresses(words: argparse.Namespace, parse: Callable[[str], Address]) -> tuple[Address, ...]:
    """Where an agent is: one address, or two with hyperstart. Raises: UsageError."""
    _check_dialect(words)
    if words.agent != "hyperstart" and words.tty_address is not None:
        raise UsageError(f"--tty-address is for --agent hyperstart; {words.agent} has one channel for everything")
    try:
        address = parse(words.address)
        if words.agent != "hyperstart":
            return (address,)
        streams = parse(words.tty_address) if words.tty_address else streams_address(address)
    except AddressError as error:
        raise UsageError(f"--address: {error}") from None
    if streams == address:
        raise UsageError("--address and --tty-address are the same; hyperstart has two channels")
    return address, streams


def _check_dialect(words: argparse.Namespace) -> None:
    """Raises: UsageError."""
    if words.agent != "kata" and words.dialect is not None:
        raise UsageError(f"--dialect is for --agent kata; {words.agent} has one protocol")


def _is_agent(address: str) -> bool:
    """Whether it is an agent's, as far as it is any: what can't be one is told by whoever dials it."""
    try:
        parse_dialled_address(address)
    except AddressError:
        return False
    return True


def _seeds(words: argparse.Namespace) -> range | None:
    """The range, and that what belongs to the simulated world goes together. Raises: UsageError."""
    if words.world != "simulated":
        for option in ("seed", "seeds", "trace"):
            if getattr(words, option) is not None:
                raise UsageError(f"--{option} is for --world simulated; the {words.world} world has none")
        return None
    if words.repeat != 1:
        raise UsageError("--repeat in the simulated world would do the same again; --seeds A:B does others")
    if words.seeds is not None and "-" in words.files:
        raise UsageError("--seeds reads a file many times, and standard input can be read once")
    if words.seeds is None:
        if words.jobs is not None:
            raise UsageError("--jobs in the simulated world is for --seeds A:B; one seed needs one process")
        return None
    for option in ("seed", "trace", "journal"):
        if getattr(words, option) is not None:
            raise UsageError(f"--{option} is for one run and --seeds for many; write one of them")
    first, colon, end = words.seeds.partition(":")
    if not (colon and first.isdecimal() and end.isdecimal() and int(first) < int(end)):
        raise UsageError(f"--seeds {words.seeds}: expected A:B with A less than B, as in 0:200")
    if int(end) - int(first) > MAX_SEEDS:
        raise UsageError(f"--seeds {words.seeds}: {MAX_SEEDS:,} are the most in one command")
    return range(int(first), int(end))


def _path(text: str | None, *, absolute: bool = False) -> Path | None:
    path = Path(text) if text else None
    return path.absolute() if path and absolute else path


def _slow(words: argparse.Namespace) -> float:
    """Raises: UsageError."""
    if words.slow is None:
        return 1.0
    if words.world == "simulated":
        raise UsageError("--slow is for time that passes; the simulated world's is virtual, and its guests never wait")
    return float(words.slow)


def _given(word: str) -> tuple[str, str]:
    name, equals, text = word.partition("=")
    if not equals or not name:
        raise UsageError(f"--var {word}: expected NAME=TEXT")
    return name, text


def _command(option: str, text: str | None) -> tuple[str, ...]:
    """As a shell would split it. Raises: UsageError."""
    if text is None:
        return ()
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"{option} {text}: {error}") from None
    if not words:
        raise UsageError(f"{option}: expected a command")
    return words


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip().lower() for word in (text or "").split(",") if word.strip())
