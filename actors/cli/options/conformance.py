"""`katrio conformance`: its arguments, and what they become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.cli.commands import CommandLine, UsageError, prepared
from actors.cli.options.arguments import (
    DIALECTS,
    add_address,
    add_engine,
    add_filter,
    add_jobs,
    add_json,
    add_report_files,
    add_slow,
    add_tested_agent,
    file_path,
)
from actors.cli.options.checks import agent_addresses, check_dialect, command_words, filter_words
from actors.conformance.case import NEEDS
from actors.words import AUTO
from transports.address import parse_dialled_address

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from transports.address import Address

__all__ = ["CONFORMANCE", "ConformanceOptions"]

# cases at once: most wait for their agent
DEFAULT_CASES = 8


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
        check_dialect(words)
        if words.engine != AUTO and words.address is not None:
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
            words=filter_words(words.filter),
            jobs=words.jobs,
            json=words.json,
            junit=words.junit,
            html=words.html,
            listing=words.list,
            lacks=frozenset(words.lacks),
            skipped=filter_words(words.skip),
            known=words.known,
            slow=words.slow,
            command=command_words("--agent-command", words.agent_command),
        )


def _add_arguments(suite: argparse.ArgumentParser) -> None:
    add_address(suite, "where the agent listens, as unix:///run/x/agent.sock; hvsock, vsock, serial, ...")
    add_tested_agent(suite)
    add_engine(suite, "of a guest of our own")
    suite.add_argument(
        "--rootfs", metavar="PATH", help="a root with /bin/sh in the agent's sight (default: the one katrio makes here)"
    )
    suite.add_argument(
        "--lacks", action="append", choices=NEEDS, default=[], help="the guest has none: what needs it is unsupported"
    )
    suite.add_argument("--destructive", action="store_true", help="also what could harm its machine, or end it")
    add_filter(suite, "only cases with one of these words (one,other) in id or title")
    suite.add_argument("--skip", metavar="WORDS", help="none of the cases with one of these words in id or title")
    suite.add_argument(
        "--known",
        type=file_path,
        metavar="FILE",
        help="what is known not to hold, a case a line: ID [VERDICT] [# why]; the rest is news",
    )
    suite.add_argument(
        "--agent-command",
        metavar="CMD",
        help="starts the agent at --address: a fresh one to begin with, after each loss, and for each destructive case",
    )
    add_slow(suite, "wait N times as long, for an agent on a slow machine")
    add_jobs(suite, "so many cases at once (default: %(default)s)", default=DEFAULT_CASES)
    add_json(suite, "one JSON object")
    add_report_files(suite, page="every case")
    suite.add_argument("--list", action="store_true", help="print what would be run and why, and run nothing")


CONFORMANCE = CommandLine(
    prepared(ConformanceOptions.parsed, "conformance:conformance"),
    _add_arguments,
    description=(
        "Test an agent: at an address, or, without one, in a guest of katrio's own. The agent should serve nobody else\n"
        "meanwhile. Cases that could harm its machine or end it run with --destructive alone."
    ),
    epilog="""\
exit codes: 0 all hold, are unsupported or known, 1 some fall short or hang, or the agent died, 2 usage,
            3 the agent can't be reached, 4 everything is unsupported; 130, 143, 129 asked to end by ^C, SIGTERM, SIGHUP""",
)
