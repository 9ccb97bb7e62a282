"""The agent that `katrio conformance` tests: at an address, or in a guest of our own that lives as long as the run.

Not for running cases.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio

from actors.api import open_guest
from actors.conformance.kata import KataTarget
from actors.errors import InvalidArgument, NotFound
from actors.host.busybox import find_static_busybox
from actors.host.facts import choose_engine, read_facts
from actors.host.images import BUSYBOX, ImageStore, default_image_root
from actors.seams import real_seams
from transports.address import parse_address
from transports.stream import unix_dialer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.cli.options import ConformanceOptions
    from actors.conformance.case import Spoken
    from transports.base import Dialer

__all__ = ["open_target"]


@asynccontextmanager
async def open_target(options: ConformanceOptions, spoken: Spoken) -> AsyncGenerator[tuple[KataTarget, str]]:
    """The target, and how a report names it.

    Raises: InvalidArgument, AddressError, NotFound for what the options can't mean; GuestDied, Unsupported when a guest of
        our own does not come up.
    """
    if options.address is not None:
        rootfs = options.rootfs or await _busybox(" (--rootfs PATH names another, in the agent's sight)")
        yield _kata(_dialer(options.address), rootfs, spoken), options.address
        return
    engine, _ = choose_engine(read_facts(), options.engine)
    # plain processes run in this machine's own root
    rootfs = options.rootfs or ("/" if engine == "processes" else await _busybox(""))
    async with open_guest(engine=engine) as guest:
        yield _kata(guest.dial, rootfs, spoken), f"a guest of katrio's own ({engine})"


def _kata(dialer: Dialer, rootfs: str, spoken: Spoken) -> KataTarget:
    return KataTarget(dialer, rootfs, real_seams().ids, spoken=spoken)


def _dialer(url: str) -> Dialer:
    """Raises: AddressError, InvalidArgument."""
    address = parse_address(url)
    if address.scheme != "unix":
        raise InvalidArgument(f"--address {url}: expected unix:///path", field="address")
    return unix_dialer(address.target)


async def _busybox(advice: str) -> str:
    """The root that katrio makes itself, which an agent on this machine can see. Raises: NotFound."""
    store = ImageStore(default_image_root(os.environ, os.geteuid()), find_static_busybox())
    try:
        return str(await trio.to_thread.run_sync(partial(store.resolve, BUSYBOX)))
    except NotFound as error:
        raise NotFound(f"{error.message}{advice}", field="rootfs") from error
