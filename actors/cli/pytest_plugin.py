"""A pytest plugin: scenario files as tests, and a fixture that runs scenarios and opens worlds.

`test_*.katrio.yaml` files are collected; the fixture `katrio` runs any file or function in the world that `--katrio-world`
names. Imports nothing of katrio but its options before it is asked for. Not for tests of katrio itself.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from actors.cli.options.arguments import AGENTS, DIALECTS, ENGINE_CHOICES
from actors.words import OWN_WORLDS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
    from contextlib import AbstractAsyncContextManager

    from actors.launchers.templates import Templates
    from actors.scenario.reading.scenario import Loaded
    from actors.scenario.stage.python import PythonWorld
    from actors.scenario.stage.results import Result
    from actors.scenario.stage.world import World

__all__ = ["Katrio"]

SUFFIX = ".katrio.yaml"
TEMPLATES: pytest.StashKey[Templates] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """See `pytest --help`."""
    group = parser.getgroup("katrio", "katrio scenarios")
    group.addoption("--katrio-world", choices=OWN_WORLDS, default="embedded", help="where they run (default: embedded)")
    group.addoption("--katrio-seed", type=int, default=0, metavar="N", help="of the simulated world (default: 0)")
    group.addoption("--katrio-agent", choices=AGENTS, default="kata", help="the agent that they use (default: kata)")
    group.addoption("--katrio-dialect", choices=DIALECTS, help="of the kata agent (default: ttrpc)")
    group.addoption("--katrio-agent-config", metavar="FILE", help="the agent's configuration: .toml, .yaml or .json")
    group.addoption(
        "--katrio-engine", choices=ENGINE_CHOICES, default="auto", help="of the embedded world (default: auto)"
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A file of the name `test_*.katrio.yaml` is a test."""
    if file_path.name.startswith("test_") and file_path.name.endswith(SUFFIX):
        return _ScenarioFile.from_parent(parent, path=file_path)  # pyright: ignore[reportUnknownMemberType]  # pytest's
    return None


@pytest.fixture
def katrio(request: pytest.FixtureRequest) -> Katrio:
    """Runs scenarios and opens worlds, as the command line of pytest says."""
    return Katrio(request.config, request.path.parent)


class Katrio:
    """What the fixture gives. Files are named as from the directory of the test that asks, wherever pytest was started."""

    def __init__(self, config: pytest.Config, directory: Path) -> None:
        self._config = config
        self._directory = directory

    def _option(self, name: str) -> Any:
        return self._config.getoption(f"katrio_{name}")

    def open_world(self) -> AbstractAsyncContextManager[World]:
        """The embedded world for a test under Trio: `async with katrio.open_world() as world`; handles: `world.system`."""
        from actors.api import open_embedded

        if self._option("world") != "embedded":
            pytest.skip("open_world opens the embedded world, and --katrio-world names another")

        opening = open_embedded(
            agent=self._option("agent"), config=self._config_of_agent(), engine=self._option("engine"), run_dir=None
        )
        return _open_forked(self._config, opening)

    def _config_of_agent(self) -> dict[str, Any] | None:
        from actors.agents.choice import choose_agent
        from actors.cli.agent_settings import agent_settings
        from actors.errors import KatrioError

        path = self._option("agent_config")
        try:
            config = agent_settings(Path(path) if path else None, self._option("dialect"))
            choose_agent(self._option("agent"), config)
        except KatrioError as error:
            pytest.fail(str(error), pytrace=False)
        return config

    def run(
        self,
        scenario: Path | str | Callable[[PythonWorld], Awaitable[None]],
        *,
        needs: Iterable[str] = (),
        **limits: float,
    ) -> Result:
        """Run a file, or an async function, to its end; `total` and `step` are a function's limits."""
        if not callable(scenario):
            scenario = self._directory / scenario
        return self._run(_loaded(scenario, tuple(needs), limits))

    def check(
        self,
        scenario: Path | str | Callable[[PythonWorld], Awaitable[None]],
        *,
        needs: Iterable[str] = (),
        **limits: float,
    ) -> Result:
        """Like `run`; the test is skipped when the world lacks something, and fails when it does not hold."""
        from actors.scenario.reading.problems import ScenarioError

        try:
            result = self.run(scenario, needs=needs, **limits)
        except ScenarioError as error:
            pytest.fail(str(error), pytrace=False)
        return _judged(result)

    def _run(self, loaded: Loaded) -> Result:
        if self._option("world") == "simulated":
            from actors.worlds.simulated_runs import play

            return play(
                loaded, self._option("seed"), agent=self._option("agent"), config=self._config_of_agent()
            ).result
        import trio

        from actors.scenario.run.runner import run_scenario

        async def main() -> Result:
            async with self.open_world() as world:
                return await run_scenario(loaded, world, listener=lambda event: None)

        return trio.run(main)


@asynccontextmanager
async def _open_forked(config: pytest.Config, opening: AbstractAsyncContextManager[World]) -> AsyncGenerator[World]:
    """A world whose guests are forked from the templates of this test session."""
    from actors.launchers.templates import Templates

    with config.stash.setdefault(TEMPLATES, Templates()).shared():
        async with opening as world:
            yield world


def pytest_unconfigure(config: pytest.Config) -> None:
    """What guests were forked from ends with the session."""
    if (templates := config.stash.get(TEMPLATES, None)) is not None:
        import trio

        trio.run(templates.aclose)


def _loaded(
    scenario: Path | str | Callable[[PythonWorld], Awaitable[None]], needs: tuple[str, ...], limits: dict[str, float]
) -> Loaded:
    from actors.cli.programs import describe_program, load_any

    if callable(scenario):
        name = getattr(scenario, "__name__", "scenario")
        words = {"name": name.replace("_", " "), "needs": needs, "limits": limits}
        return describe_program(scenario, name, scenario.__doc__ or "", words)
    return load_any(Path(scenario))


def _judged(result: Result) -> Result:
    from actors.scenario.report.base import last_line, reasons
    from actors.scenario.stage.events import Outcome
    from transports.plain import printable

    if result.outcome is Outcome.SKIPPED:
        pytest.skip(printable(result.reason))
    if result.outcome is not Outcome.HELD:
        told = [line for step in result.steps for line in reasons(step)]
        pytest.fail("\n".join(map(printable, [last_line(result), *told])), pytrace=False)
    return result


class _ScenarioFile(pytest.File):
    def collect(self) -> Iterator[_ScenarioItem]:
        yield _ScenarioItem.from_parent(self, name="scenario")  # pyright: ignore[reportUnknownMemberType]  # pytest's


class _ScenarioItem(pytest.Item):
    def runtest(self) -> None:
        Katrio(self.config, self.path.parent).check(self.path)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.path.name.removesuffix(SUFFIX)
