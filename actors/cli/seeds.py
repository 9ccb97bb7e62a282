"""`katrio run --world simulated`: each file on one seed, or on a range of them.

Imports neither nng nor anything of this machine's, so that a scenario is tried in the time it takes to load it. Not for
how a range is spread over processes: `seeds_range`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from actors.agents.choice import choose_agent
from actors.cli.agent_settings import agent_settings
from actors.cli.exits import Exit, exit_code
from actors.cli.files import load_to_run
from actors.cli.replay import replay_command
from actors.cli.reports import open_report
from actors.cli.say import complain, report_error
from actors.cli.signals import defer_signals
from actors.errors import KatrioError
from actors.scenario.report.summary import Totals
from actors.seams import real_seams

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from actors.cli.options.run import RunOptions
    from actors.cli.signals import DeferredSignals
    from actors.scenario.reading.scenario import Loaded
    from actors.scenario.report.base import RunReport
    from actors.scenario.stage.events import Outcome

__all__ = ["run_simulated"]

_SEED_BITS = 32


def run_simulated(options: RunOptions) -> int:
    """Run the files; the exit code."""
    loaded = load_to_run(options)
    if isinstance(loaded, Exit):
        return loaded
    try:
        config = agent_settings(options.agent_config, options.dialect)
        choose_agent(options.agent, config)
    except KatrioError as error:
        report_error(error)
        return Exit.USAGE
    if options.seeds is not None:
        from actors.cli.seeds_range import run_ranges

        return run_ranges(options, loaded, config)
    if options.trace is not None and len(loaded) > 1:
        complain(f"--trace writes the trace of one run, and there are {len(loaded)} files")
        return Exit.USAGE
    try:
        report, files = open_report(options, len(loaded))
        log = None if options.trace is None else files.grow(options.trace)
    except OSError as error:
        report_error(error)
        return Exit.USAGE
    with defer_signals() as deferred:
        try:
            code = exit_code(_run_all(options, loaded, config, _chosen_seed(options, report), report, log, deferred))
            if deferred.requested:
                report.notice("interrupted: everything was stopped in order")
                code = Exit.INTERRUPTED
        finally:
            report.close()
            if log is not None:
                log.close()
        return files.settle(code)


def _chosen_seed(options: RunOptions, report: RunReport) -> int:
    """The one that was given, or one that is drawn now, and told before anything runs."""
    if options.seed is not None:
        return options.seed
    seed = real_seams().rng.getrandbits(_SEED_BITS)
    report.notice(f"seed {seed}")
    return seed


def _run_all(
    options: RunOptions,
    loaded: Sequence[Loaded],
    config: dict[str, Any] | None,
    seed: int,
    report: RunReport,
    log: TextIO | None,
    deferred: DeferredSignals,
) -> list[Outcome]:
    from actors.worlds.simulated_runs import play

    outcomes: list[Outcome] = []
    totals = Totals(len(loaded))
    for each in loaded:
        if deferred.requested:
            break
        played = play(
            each,
            seed,
            agent=options.agent,
            config=config,
            keep_going=options.keep_going,
            log=None if log is None else partial(_write_line, log),
            stop_by=deferred.stop_by,
        )
        for event in played.events:
            report.event(event)
        report.result(played.result)
        totals.add(played.result)
        outcomes.append(played.result.outcome)
        if outcomes[-1].is_failure:
            report.notice(f"replay: {replay_command(options, each.file, seed)}")
            if not options.keep_going:
                break
    if not deferred.requested and (total := totals.total()) is not None:
        report.total(total)
    return outcomes


def _write_line(log: TextIO, line: str) -> None:
    log.write(f"{line}\n")
