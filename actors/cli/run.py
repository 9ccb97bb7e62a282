"""`katrio run`: sweep, load every file, then one world after the other; ^C stops in order.

The composition of scenario, world and report stands here. Not for what a scenario or a world does.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import AsyncExitStack, nullcontext
from typing import TYPE_CHECKING, Any

import trio

from actors.agents.choice import choose_agent
from actors.api import open_attached, open_world
from actors.cli.agent_settings import agent_settings
from actors.cli.exits import Exit, exit_code
from actors.cli.failures import COMMAND_ERRORS, fail
from actors.cli.files import load_to_run
from actors.cli.reports import open_report
from actors.cli.say import complain, report_error
from actors.cli.signals import handle_interrupts
from actors.cli.sweep import sweep_root
from actors.launchers.templates import open_templates
from actors.limits import DEFAULT_LIMITS, slow_limits
from actors.node.facts import choose_engine, read_facts
from actors.node.rundir import default_run_root, make_run_root
from actors.nurseries import open_collapsing_nursery
from actors.scenario.reading.slowed import slowed
from actors.scenario.report.base import BufferedEvents
from actors.scenario.report.summary import Totals
from actors.scenario.run.runner import run_scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from actors.cli.options.run import RunOptions
    from actors.scenario.reading.scenario import Loaded
    from actors.scenario.report.base import RunReport
    from actors.scenario.stage.events import Event, Outcome
    from actors.scenario.stage.results import Result
    from actors.scenario.stage.world import World

__all__ = ["run"]


def run(options: RunOptions) -> int:
    """Run the files; the exit code."""
    loaded = load_to_run(options)
    if isinstance(loaded, Exit):
        return loaded
    if options.slow != 1:
        loaded = [slowed(one, options.slow) for one in loaded]
    try:
        report, files = open_report(options, len(loaded) * options.repeat)
    except OSError as error:
        report_error(error)
        return Exit.USAGE
    return files.settle(_run(options, report, loaded))


def _run(options: RunOptions, report: RunReport, loaded: Sequence[Loaded]) -> Exit:
    try:
        if options.world == "embedded":
            _prepare(options, report)
        config = agent_settings(options.agent_config, options.dialect)
        # once for all files; attached to a system of another program, its agent is that one's own
        if options.world == "embedded":
            choose_agent(options.agent, config)
        return trio.run(_Session(options, report, loaded, config).run)
    except COMMAND_ERRORS as error:
        report.close()
        return fail(error)
    finally:
        report.close()


def _prepare(options: RunOptions, report: RunReport) -> None:
    """Sweep what dead owners left, and say when containers will not be real ones. Raises: KatrioError, OSError."""
    if options.agent != "noop":
        make_run_root(options.run_dir or default_run_root(os.environ, os.geteuid()))
    for swept in sweep_root(options.run_dir):
        if not swept.clean:
            report.notice(f"could not remove all of {swept.directory}, which a dead owner left")
    if options.agent != "noop":
        engine, reason = choose_engine(read_facts(), options.engine)
        if engine == "processes" and options.engine == "auto":
            report.notice(reason)


class _Session:
    """The files of one command, in order, until one does not hold or somebody interrupts."""

    def __init__(
        self, options: RunOptions, report: RunReport, loaded: Sequence[Loaded], config: dict[str, Any] | None
    ) -> None:
        self._options = options
        self._config = config
        self._limits = slow_limits(DEFAULT_LIMITS, options.slow)
        self._report = report
        self._loaded = loaded
        self._interrupted = False
        # one for all files: what somebody else serves goes on between them, or is known not to
        self._attached: World | None = None
        # of the scenarios under way: their worlds go on until `finally` and the taking down are done
        self._scopes: list[trio.CancelScope] = []
        self._totals = Totals(len(loaded) * options.repeat)

    async def run(self) -> Exit:
        """The exit code. Raises: KatrioError, when a world does not open."""
        outcomes: list[Outcome] = []
        failures: list[Exception] = []
        async with trio.open_nursery() as nursery:
            # guests notice at once that we are gone, by their lifeline, and the next sweep does the rest
            await nursery.start(handle_interrupts, self._interrupt, self._report.close)
            nursery.start_soon(self._report.run)
            try:
                async with open_templates():
                    await self._run_all(outcomes)
            except COMMAND_ERRORS as error:  # raised below, bare: a nursery would wrap it
                failures.append(error)
            nursery.cancel_scope.cancel()
        if (total := self._totals.total()) is not None:
            self._report.total(total)
        if self._interrupted:
            self._report.notice("interrupted: everything was stopped in order")
            return Exit.INTERRUPTED
        if failures:
            raise failures[0]
        return exit_code(outcomes)

    async def _run_all(self, outcomes: list[Outcome]) -> None:
        """The first that does not hold stops the rest: the others are not begun, those under way end by themselves."""
        todo = deque(loaded for loaded in self._loaded for _ in range(self._options.repeat))

        async def work() -> None:
            while todo and not self._interrupted:
                result = await self._run_reported(todo.popleft())
                outcomes.append(result.outcome)
                if result.outcome.is_failure and not self._options.keep_going:
                    todo.clear()

        async with AsyncExitStack() as stack:
            if self._options.world == "attached":
                self._attached = await stack.enter_async_context(self._open_attached())
            async with open_collapsing_nursery() as nursery:
                for _ in range(self._options.jobs):
                    nursery.start_soon(work)

    async def _run_reported(self, loaded: Loaded) -> Result:
        """Several at once are told one after the other, each when it has ended; what goes on is the report's to show."""
        if self._options.jobs == 1:
            result = await self._run_one(loaded, self._report.event)
        else:
            events = BufferedEvents(self._report.watch(loaded.scenario.name))
            result = await self._run_one(loaded, events.add)
            for event in events:
                self._report.event(event)
        self._report.result(result)
        self._totals.add(result)
        return result

    async def _run_one(self, loaded: Loaded, listener: Callable[[Event], None]) -> Result:
        scope = trio.CancelScope()
        self._scopes.append(scope)
        async with self._open_world() as world:
            if self._interrupted:
                scope.cancel()
            return await run_scenario(
                loaded, world, listener=listener, keep_going=self._options.keep_going, interrupt=scope
            )

    def _open_world(self) -> AbstractAsyncContextManager[World]:
        options = self._options
        if self._attached is not None:
            return nullcontext(self._attached)
        return open_world(
            options.world,
            agent=options.agent,
            config=self._config,
            engine=options.engine,
            run_dir=options.run_dir,
            limits=self._limits,
        )

    def _open_attached(self) -> AbstractAsyncContextManager[World]:
        options = self._options
        return open_attached(
            options.address or "", agent=options.agent, config=self._config, limits=self._limits, told=complain
        )

    def _interrupt(self) -> None:
        self._interrupted = True
        self._report.notice("stopping in order; ^C again stops at once")
        for scope in self._scopes:
            scope.cancel()
