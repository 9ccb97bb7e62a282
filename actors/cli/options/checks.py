"""What commands check alike of arguments that are right each by itself, and how some texts are read.

For the declarations of commands. Not for one argument's own form: `arguments`.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from actors.cli.commands import UsageError
from transports.address import parse_dialled_address, streams_address
from transports.errors import AddressError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from transports.address import Address

__all__ = ["agent_addresses", "check_dialect", "command_words", "filter_words", "is_agent"]


def agent_addresses(words: argparse.Namespace, parse: Callable[[str], Address]) -> tuple[Address, ...]:
    """Where an agent is: one address, or two with hyperstart. Raises: UsageError."""
    check_dialect(words)
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


def check_dialect(words: argparse.Namespace) -> None:
    """Raises: UsageError."""
    if words.agent != "kata" and words.dialect is not None:
        raise UsageError(f"--dialect is for --agent kata; {words.agent} has one protocol")


def is_agent(address: str) -> bool:
    """Whether it is an agent's, as far as it is any: what can't be one is told by whoever dials it."""
    try:
        parse_dialled_address(address)
    except AddressError:
        return False
    return True


def command_words(option: str, text: str | None) -> tuple[str, ...]:
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


def filter_words(text: str | None) -> tuple[str, ...]:
    """Of `one,other`: in small letters, without empty ones."""
    return tuple(word.strip().lower() for word in (text or "").split(",") if word.strip())
