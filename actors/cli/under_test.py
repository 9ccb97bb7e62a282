"""The agent that `katrio conformance` tests: at an address, or in a guest of our own that lives as long as the run.

Not for running cases.
"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from actors.agents.base import Channels
from actors.agents.hyperstart.agent import SHARE
from actors.agents.peers import PEERS
from actors.api import open_guest, settle_engine
from actors.cli.agent_command import START_SECONDS, open_command
from actors.cli.say import complain
from actors.conformance.hyperstart import HyperstartTarget
from actors.conformance.kata import KataTarget
from actors.errors import InvalidArgument, NotFound
from actors.images.store import BUSYBOX, ImageStore, default_image_root
from actors.limits import DEFAULT_LIMITS
from actors.node.busybox import find_static_busybox
from actors.node.protocols import GuestProtocol
from actors.node.roots import default_roots, open_roots
from actors.seams import real_seams
from transports.agent_sockets import open_dialer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from actors.cli.options.conformance import ConformanceOptions
    from actors.conformance.fresh import OpenAgent
    from actors.conformance.subject import Roots, Target

__all__ = ["UnderTest", "open_under_test"]

# of our own engines
_LACKING: Mapping[str, frozenset[str]] = {"processes": frozenset({"cgroups", "isolation"})}


class UnderTest(NamedTuple):
    """How to have the agent, for as long as a context lasts; how a report names it, and what its guest has not got."""

    open_agent: OpenAgent
    address: str
    lacks: frozenset[str]


@asynccontextmanager
async def open_under_test(options: ConformanceOptions, protocol: GuestProtocol) -> AsyncGenerator[UnderTest]:
    """What is tested, for as long as the context lasts. With a command each `open_agent` starts one, otherwise it is the same.

    Raises: InvalidArgument, AddressError, NotFound for what the options can't mean; GuestDied, Unsupported when a guest of
        our own does not come up. So does `open_agent`.
    """
    if options.addresses:
        rootfs = options.rootfs or await _busybox("; --rootfs PATH names another, as the agent sees it")
        async with AsyncExitStack() as stack:
            # a root that was named is as the agent sees it, which may be nowhere here: it is the agent's to spoil
            roots = None if options.rootfs else await stack.enter_async_context(_open_roots())
            names = " and ".join(map(str, options.addresses))
            yield UnderTest(partial(_open_at_address, options, protocol, rootfs, roots), names, options.lacks)
        return
    if options.rootfs and not _is_visible(options.rootfs):
        raise InvalidArgument(f"--rootfs {options.rootfs}: there is no /bin/sh in it", field="rootfs")
    engine, _ = await settle_engine(options.engine)
    # plain processes run in this machine's own root
    rootfs = options.rootfs or ("/" if engine == "processes" else await _busybox(""))
    async with open_guest(engine=engine, protocol=protocol) as guest:
        lacks = _LACKING.get(engine, frozenset[str]()) | options.lacks
        target = _target(protocol, guest.channels, rootfs, slow=options.slow)
        yield UnderTest(lambda: nullcontext(target), f"a guest of katrio's own ({engine})", lacks)


@asynccontextmanager
async def _open_at_address(
    options: ConformanceOptions, protocol: GuestProtocol, rootfs: str, roots: Roots | None
) -> AsyncGenerator[Target]:
    async with AsyncExitStack() as stack:
        started = None
        if options.command:
            opened = open_command(options.command, options.addresses, real_seams().processes, options.slow)
            started = await stack.enter_async_context(opened)
        # who starts an agent knows that it needs a while, and is not told so
        report_waiting = _report_waiting if started is None else None
        dialers = [
            await stack.enter_async_context(open_dialer(address, peer, told=report_waiting))
            for address, peer in zip(options.addresses, PEERS[protocol], strict=True)
        ]
        if started is not None:
            dialers = [started.through(dialer) for dialer in dialers]
        seconds = None if started is None else START_SECONDS
        target = _target(protocol, Channels(*dialers), rootfs, roots, slow=options.slow, start_seconds=seconds)
        if isinstance(target, KataTarget):
            target.rootfs_unverified = roots is None and not _is_visible(rootfs)
        yield target


def _is_visible(rootfs: str) -> bool:
    """Whether this machine has such a root; a link in it may lead to what is there in its own sight alone."""
    return os.path.lexists(os.path.join(rootfs, "bin", "sh"))


def _report_waiting(why: str) -> None:
    complain(f"{why}; waiting for it, a few seconds at the most")


def _target(
    protocol: GuestProtocol,
    channels: Channels,
    rootfs: str,
    roots: Roots | None = None,
    *,
    slow: float,
    start_seconds: float | None = None,
) -> Target:
    ids = real_seams().ids
    start: Any = {} if start_seconds is None else {"start_seconds": start_seconds}
    if protocol is not GuestProtocol.HYPERSTART:
        # a start is waited for where we have made it
        new = start_seconds is not None
        return KataTarget(channels.agent, rootfs, ids, protocol=protocol, roots=roots, slow=slow, new=new, **start)
    assert channels.streams is not None, "the options have named both"
    # a real guest's share has one place; ours names roots by their own path
    share = SHARE if rootfs.startswith(f"{SHARE}/") else "/"
    root = rootfs.removeprefix(share)
    return HyperstartTarget(channels.agent, channels.streams, root, share, ids, roots=roots, slow=slow, **start)


@asynccontextmanager
async def _open_roots() -> AsyncGenerator[Roots]:
    """In threads, where making, sweeping and removing can take long."""
    place = default_roots(os.environ, os.geteuid())
    opened = open_roots(place, DEFAULT_LIMITS, real_seams().threads.checkpoint)
    roots = await trio.to_thread.run_sync(opened.__enter__)
    try:
        yield roots
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(opened.__exit__, None, None, None)


async def _busybox(advice: str) -> str:
    """The root that katrio makes itself, which an agent on this machine can see. Raises: NotFound."""
    place = default_image_root(os.environ, os.geteuid())
    store = ImageStore(place, find_static_busybox(), DEFAULT_LIMITS, real_seams().threads.checkpoint)
    try:
        return str(await trio.to_thread.run_sync(partial(store.resolve, BUSYBOX)))
    except NotFound as error:
        raise NotFound(f"{error.message}{advice}", field="rootfs") from error
