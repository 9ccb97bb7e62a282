"""The public interface: open a system of actors on this host, serve it to others, or connect to one that is served.

For programs that embed katrio, and for the command line. Chooses nng as the transport; everything below is
given one. Not for tests of a layer: those compose it themselves.

One program runs `open_system(listen="ipc:///run/katrio/server")`; another runs
`connect_system("ipc:///run/katrio/server")` and holds the same kind of handle.
"""

from __future__ import annotations

import logging
import os
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from actors.agents.choice import AgentConfig, ChosenAgent, at_address, choose_agent
from actors.errors import AgentUnreachable, AlreadyExists, InvalidArgument, Unsupported
from actors.handles import SystemHandle
from actors.images.store import ImageStore, default_image_root
from actors.launchers.embedded import EmbeddedGuest, EmbeddedGuests, EmbeddedImages, open_guests
from actors.launchers.nothing import AnyImage, launch_nothing
from actors.limits import DEFAULT_LIMITS, Limits
from actors.mailbox import open_client
from actors.node.busybox import find_static_busybox
from actors.node.heap import keep_freed_buffers
from actors.node.protocols import GuestProtocol
from actors.node.roots import default_roots
from actors.node.rundir import as_run_root, default_run_root
from actors.node.trials import find_engine
from actors.nurseries import open_collapsing_nursery
from actors.seams import real_seams
from actors.system.compose import Parts, open_actors
from actors.words import AUTO, OWN_WORLDS, SIMULATED, AgentType
from actors.worlds.embedded import EmbeddedWorld
from transports.address import Kind, parse_address
from transports.errors import AddressError, AddressInUse, Unreachable
from transports.schemes import transport_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from contextlib import AbstractAsyncContextManager

    from actors.launchers.external import ExternalGuests
    from actors.sandbox import GuestLauncher, Images
    from actors.scenario.stage.world import World
    from actors.worlds.attached import AttachedWorld
    from transports.telling import Told

__all__ = ["connect_system", "open_system", "open_world"]

_log = logging.getLogger("katrio")

# what a guest's processes get of our environment; a container gets none of it
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "HOME", "XDG_RUNTIME_DIR")


@asynccontextmanager
async def open_system(
    *,
    agent: str = "kata",
    config: AgentConfig | None = None,
    engine: str = AUTO,
    run_dir: str | os.PathLike[str] | None = None,
    listen: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    require_isolation: bool = False,
) -> AsyncGenerator[SystemHandle]:
    """A system whose sandboxes are embedded guests on this host, and a handle on it.

    Where `config` names the address of an agent that runs already, it has that one instead, for one sandbox at a time, and
    each container a throw-away copy of its image.

    Hides nurseries: one error of the body stays one plain error. On the way out, cancelled or not, every
    sandbox is stopped in order; other programs' links are told goodbye. A guest that does not answer is waited for:
    `limits.shutdown_seconds` (20) for the order, then 10 s for its end, and then it is killed with what it runs; the
    logger "katrio" says so.

    Args:
        agent: see `katrio run --help`.
        engine: `runc`, `crun` or `processes`, and no other then; "auto": crun where a trial showed that it works, else runc, crun,
            plain processes, whichever is there first. The trial takes 0.2 s, once for each boot.
        config: the agent's, as a `HyperConfig`, a `KataAgentConfig` or a mapping of what they hold: docs/agents.md.
        run_dir: where guests keep their sockets and state.
        listen: `ipc:///absolute/path`: serve other programs there as well (`connect_system`, or any that speaks
            docs/protocol.md). Whoever may open the socket may do everything: it is 0600, in a directory that must
            be 0700 and is made when missing.
        require_isolation: refuse rather than run plain processes, which are kept from nothing: with "auto" they are what is
            left without root or a runtime, and the logger "katrio" warns of it.
        limits: every bound, for the actors and for this handle: its default `timeout` is `limits.ask_seconds`.

    Raises:
        InvalidArgument: no such agent or engine; a wrong configuration, by its key; or `listen` can't be used.
        AlreadyExists: somebody answers on `listen`.
        Unsupported: this machine can't run that engine, or isolate as required; the message says what to install.
    """
    chosen = choose_agent(agent, config)
    if chosen.addresses:
        if require_isolation:
            raise Unsupported(
                f"{chosen.addresses[0]} is another's: whether it isolates what it runs can't be told",
                field="require_isolation",
            )
        async with _open_external(chosen, listen=listen, limits=limits) as (system, _):
            yield system
        return
    async with open_embedded(
        agent=agent,
        config=config,
        engine=engine,
        run_dir=run_dir,
        listen=listen,
        limits=limits,
        require_isolation=require_isolation,
    ) as world:
        if world.engine == "processes":
            _log.warning("containers are plain processes of this machine: nothing isolates or limits them")
        yield world.system


@asynccontextmanager
async def _open_external(
    chosen: ChosenAgent, *, listen: str | None, limits: Limits, told: Told | None = None
) -> AsyncGenerator[tuple[SystemHandle, ExternalGuests]]:
    """Around an agent that runs already."""
    from actors.launchers.external import ExternalGuests, open_channels, open_private_images

    # a share of the guest's is the one place whose files it sees
    share = None if chosen.share == "/" else Path(chosen.share)
    place = default_roots(os.environ, os.geteuid())
    async with (
        open_private_images(_store(limits), place, real_seams(), limits, share=share) as images,
        open_channels(chosen, told=told) as channels,
    ):
        guests = ExternalGuests(channels, chosen, limits)
        through = chosen._replace(connect=guests.connect)
        async with _open(through, guests, images, listen=listen, limits=limits) as system:
            yield system, guests


@asynccontextmanager
async def connect_system(
    address: str, *, client_id: str | None = None, limits: Limits = DEFAULT_LIMITS
) -> AsyncGenerator[SystemHandle]:
    """A handle on a system that another program serves; sandboxes live on when this ends.

    A link that breaks is dialled again; asks that were in flight end with `OutcomeUnknown`.

    Args:
        address: what that program's `open_system(listen=...)` was given.
        client: this program's name for the other's records, unlike that of any other client; default: a fresh one.

    Raises:
        InvalidArgument: no such address can be.
        AgentUnreachable: nobody answers there, or what answers is no katrio.
    """
    seams = real_seams()
    with _address_errors(address):
        transport = transport_for(address)
    opening = open_client(
        transport, address, client_id=client_id or seams.ids.fresh("client"), epoch=seams.ids.epoch(), limits=limits
    )
    async with AsyncExitStack() as stack:
        with _address_errors(address):
            client = await stack.enter_async_context(opening)
        yield SystemHandle(client)


@contextmanager
def _address_errors(address: str) -> Generator[None]:
    """What a transport says of an address, in the words of the public error tree."""
    try:
        yield
    except AddressError as error:
        raise InvalidArgument(str(error), field="address") from error
    except AddressInUse as error:
        raise AlreadyExists(str(error), address=address) from error
    except Unreachable as error:
        raise AgentUnreachable(f"no katrio answers on {address}: {error}", address=address) from error


@asynccontextmanager
async def open_embedded(
    *,
    agent: str,
    engine: str,
    run_dir: str | os.PathLike[str] | None,
    config: AgentConfig | None = None,
    listen: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    require_isolation: bool = False,
) -> AsyncGenerator[EmbeddedWorld]:
    """The embedded world; see `open_system`. Raises InvalidArgument also for an agent at an address."""
    chosen = choose_agent(agent, config)
    if chosen.addresses:
        raise InvalidArgument(
            f"the embedded world starts its own guests, and {chosen.addresses[0]} is another's: --world attached --address URL",
            field="address",
        )
    found, reason = await settle_engine(engine)
    runs = chosen.type is not AgentType.NOOP
    if require_isolation and runs and found == "processes":
        raise Unsupported(f"isolation is required: {reason}", field="require_isolation")
    opening = _open_guests(found, chosen.protocol or GuestProtocol.TTRPC, run_dir, limits)
    # plain processes run in the host's own root
    images = EmbeddedImages(_store(limits), real_seams()) if runs and found != "processes" else AnyImage()
    async with (
        opening as guests,
        _open(chosen, guests if runs else launch_nothing, images, listen=listen, limits=limits) as system,
    ):
        yield EmbeddedWorld(system=system, agent=agent, engine=found if runs else None, guests=guests)


async def settle_engine(wanted: str) -> tuple[str, str]:
    """The engine, and the reason in one line; with "auto" the faster runtime is tried first, once for each boot.

    Raises: InvalidArgument, Unsupported; see `choose_engine`.
    """
    return await real_seams().threads.run(partial(find_engine, wanted))


def _open_guests(
    engine: str, protocol: GuestProtocol, run_dir: str | os.PathLike[str] | None, limits: Limits
) -> AbstractAsyncContextManager[EmbeddedGuests]:
    """Raises: InvalidArgument."""
    return open_guests(
        run_root=default_run_root(os.environ, os.geteuid()) if run_dir is None else as_run_root(run_dir),
        engine=engine,
        environment={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        seams=real_seams(),
        limits=limits,
        protocol=protocol,
    )


def _store(limits: Limits) -> ImageStore:
    place = default_image_root(os.environ, os.geteuid())
    return ImageStore(place, find_static_busybox(), limits, real_seams().threads.checkpoint)


@asynccontextmanager
async def _open(
    chosen: ChosenAgent, launch: GuestLauncher, images: Images, *, listen: str | None, limits: Limits
) -> AsyncGenerator[SystemHandle]:
    """A system of actors on nng, around guests of whatever kind."""
    keep_freed_buffers()
    seams = real_seams()
    address = f"inproc://{seams.ids.fresh('katrio')}"
    with _address_errors(listen or ""):
        places = ((transport_for(listen), listen),) if listen else ()
    parts = Parts(
        transport=transport_for(address),
        address=address,
        listen=places,
        launch=launch,
        connect=chosen.connect,
        images=images,
        seams=seams,
        limits=limits,
    )
    async with AsyncExitStack() as stack:
        with _address_errors(listen or address):
            system = await stack.enter_async_context(open_actors(parts))
        yield system


@asynccontextmanager
async def open_guest(
    *, engine: str = AUTO, protocol: GuestProtocol = GuestProtocol.TTRPC, run_dir: str | os.PathLike[str] | None = None
) -> AsyncGenerator[EmbeddedGuest]:
    """A guest on this host and no actors around it: for whoever speaks to its agent directly. Swept at the end.

    Raises: GuestDied, Unsupported, InvalidArgument.
    """
    found, _ = await settle_engine(engine)
    async with _open_guests(found, protocol, run_dir, DEFAULT_LIMITS) as guests, open_collapsing_nursery() as nursery:
        yield await nursery.start(guests, "guest")
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_attached(
    address: str,
    *,
    agent: str = "kata",
    config: AgentConfig | None = None,
    limits: Limits = DEFAULT_LIMITS,
    told: Told | None = None,
) -> AsyncGenerator[AttachedWorld]:
    """The world at an address: a system that another program serves (`connect_system`), or an agent of that kind.

    Args:
        told: for a person who waits: is told once, with the bound, that no agent answers yet. A path where nobody listens is
            refused at once then, unless the configuration has a DialTimeout: who gives one wants to wait.
    """
    from actors.worlds.attached import AttachedWorld

    with _address_errors(address):
        kind = parse_address(address).kind
    if kind is Kind.MAILBOX:
        async with connect_system(address, limits=limits) as system:
            yield AttachedWorld(system)
        return
    chosen = choose_agent(agent, at_address(agent, config, address))

    def told_with_bound(why: str) -> None:
        if told is not None:
            seconds = chosen.patience or limits.guest_start_seconds
            told(f"{why}; waiting for {address}, {seconds:g} s at the most")

    waiting = None if told is None else told_with_bound
    async with _open_external(chosen, listen=None, limits=limits, told=waiting) as (system, guests):
        yield AttachedWorld(system, agent, guests)


@asynccontextmanager
async def open_world(
    world: str,
    *,
    agent: str = "kata",
    config: AgentConfig | None = None,
    engine: str = AUTO,
    run_dir: str | os.PathLike[str] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> AsyncGenerator[World]:
    """A world by its name, for a scenario to run in.

    `simulated` has a clock and an order of its own, and opens inside `actors.simulation.run.simulate` alone.

    Raises: as `open_system`; InvalidArgument for a world that is not there, or can't be opened here.
    """
    if world not in OWN_WORLDS:
        raise InvalidArgument(f"world {world!r}: expected one of {', '.join(OWN_WORLDS)}", field="world")
    if world == SIMULATED:
        from actors.simulation.run import current_simulation
        from actors.worlds.simulated import open_simulated

        simulation = current_simulation()
        if simulation is None:
            raise InvalidArgument(
                "world 'simulated' has a clock of its own: open it in a function that actors.simulation.run.simulate runs",
                field="world",
            )
        async with open_simulated(simulation, agent=agent, config=config) as opened:
            yield opened
    else:
        async with open_embedded(agent=agent, config=config, engine=engine, run_dir=run_dir, limits=limits) as embedded:
            yield embedded
