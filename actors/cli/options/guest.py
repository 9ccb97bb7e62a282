"""`katrio guest`: its arguments, and what they become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.cli.commands import CommandLine, prepared
from actors.cli.options.arguments import DIALECTS, add_address, add_engine, add_run_dir, add_tested_agent
from actors.cli.options.checks import agent_addresses
from transports.address import parse_agent_address

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from transports.address import Address

__all__ = ["GUEST", "GuestOptions"]


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
            run_dir=words.run_dir,
        )


def _add_arguments(guest: argparse.ArgumentParser) -> None:
    add_address(guest, "where to listen, as unix:///run/x/agent.sock; hvsock, vsock, ...", required=True)
    add_tested_agent(guest)
    add_engine(guest)
    add_run_dir(guest)
    guest.add_argument("--json", action="store_true", help="print the line that says ready as one JSON object")


GUEST = CommandLine(
    prepared(GuestOptions.parsed, "guest:guest"),
    _add_arguments,
    description="Serve a guest of its own in the foreground until ^C or SIGTERM, and leave nothing behind.\n"
    "A container's root is a directory of this machine, named by the client.",
)
