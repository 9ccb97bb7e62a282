"""What `katrio run` writes and compares, how it chooses files, and its other worlds and languages, as a person types it."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
import trio

from actors.api import open_system
from tests.support.command_line import KATRIO, katrio

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ["pytester"]

IDLE = "'trap \"exit 0\" TERM; while true; do sleep 0.1; done'"
HEAD = f"sandboxes:\n  box:\n    containers:\n      one: {{command: {IDLE}}}\n"
HOLDS = f"name: it holds\nwhy: so\ngroup: good\n{HEAD}steps:\n  - {{exec: one, command: echo said, as: pp}}\n  - {{wait: pp, expect: {{exit: 0}}}}\n"
FAILS = (
    f"name: it fails\nwhy: so\nlabels: [slow]\n{HEAD}steps:\n  - {{state: one, expect: paused}}\n  - {{state: one}}\n"
)
LONG = f"name: long\nwhy: so\n{HEAD}steps:\n  - sleep: 50s\nfinally:\n  - {{state: one, expect: running}}\n"
PROGRAM = '''\
"""Why."""
needs = ["containers", "exec"]


async def scenario(world):
    box = await world.sandbox("box")
    async with world.step("one answers"):
        one = await world.container(box, "one")
        world.expect((await one.info()).state, "running")
'''


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with two scenarios."""
    (tmp_path / "holds.yaml").write_text(HOLDS)
    (tmp_path / "fails.yaml").write_text(FAILS)
    return tmp_path


def output_of(*words: str | Path, code: int) -> str:
    """What it printed. Its exit code must be this one."""
    done = katrio(*words)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_files_of_all_kinds_are_written_at_once(files: Path) -> None:
    journal, junit, page = files / "j.jsonl", files / "j.xml", files / "page.html"
    words = ["--engine", "processes", "--keep-going", "--jobs", "2"]
    said = output_of("run", *words, "--journal", journal, "--junit", junit, "--html", page, files, code=1)
    assert "held: 2 steps" in said
    # a step that did not hold was not the end, with --keep-going
    assert "failed: " in said
    events: list[dict[str, Any]] = [json.loads(line) for line in journal.read_text().splitlines()]
    assert sorted(event["outcome"] for event in events if event["event"] == "result") == ["failed", "held"]
    assert [event["text"] for event in events if event["event"] == "printed"] == ["said\n"]
    assert ElementTree.parse(junit).getroot().get("failures") == "1"
    assert page.read_text().count("<svg") == 2
    assert "nothing that counts differs" in output_of("run", "--diff", journal, journal, code=0)


def test_files_are_chosen_by_words(files: Path) -> None:
    assert "it holds" not in output_of("run", "--dry-run", "--filter", "slow", files, code=0)
    assert "it fails" not in output_of("list", "--filter", "good", files, code=0)
    assert "none of the 2 files has such a word" in output_of("run", "--filter", "nothing", files, code=2)


def test_a_dry_run_starts_nothing_and_says_every_step(files: Path) -> None:
    said = output_of("run", "--dry-run", files / "holds.yaml", code=0)
    assert "containers: box/one" in said
    assert said.count("line ") == 2


def test_a_value_from_the_command_line(files: Path) -> None:
    (files / "v.yaml").write_text(
        f"name: v\nwhy: so\nvars: {{code: 3}}\n{HEAD}steps:\n  - {{state: one, expect: '${{code}}'}}\n"
    )
    output_of("run", "--engine", "processes", "--var", "code=running", files / "v.yaml", code=0)
    assert "did you mean code?" in output_of("run", "--var", "cod=1", files / "v.yaml", code=2)


def test_each_file_is_run_so_many_times(files: Path) -> None:
    said = output_of("run", "--engine", "processes", "--repeat", "2", "--json", files / "holds.yaml", code=0)
    *runs, total = (json.loads(line) for line in said.splitlines())
    assert [one["outcome"] for one in runs] == ["held", "held"]
    assert (total["event"], total["outcomes"], total["verbs"]["exec"]["count"]) == ("total", {"held": 2}, 2)


@pytest.mark.parametrize(
    "words", [("--repeat", "0"), ("--jobs", "999"), ("--world", "attached"), ("--address", "ipc:///x"), ("--var", "x")]
)
def test_words_that_make_no_sense_are_told(words: tuple[str, ...], files: Path) -> None:
    assert "katrio run: error:" in output_of("run", *words, files, code=2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--world", "atached"), "did you mean attached?"),
        (("--jsno",), "katrio run: error: unrecognized: --jsno; did you mean --json?"),
    ],
)
def test_a_slip_is_told_without_the_usage(words: tuple[str, ...], said: str, files: Path) -> None:
    told = output_of("run", *words, files, code=2)
    assert said in told
    assert len(told.splitlines()) == 2


def test_the_attached_world_drives_what_another_program_serves(files: Path) -> None:
    (files / "sock").mkdir(mode=0o700)
    address = f"ipc://{files}/sock/server"

    async def serve_and_run() -> str:
        async with open_system(engine="processes", run_dir=files / "r", listen=address):
            argv = [KATRIO, "run", "--world", "attached", "--address", address, "--json", str(files / "holds.yaml")]
            done = await trio.run_process(argv, capture_stdout=True)
            return done.stdout.decode()

    result: dict[str, Any] = json.loads(trio.run(serve_and_run))
    assert (result["outcome"], result["world"]) == ("held", "attached")


def test_finally_runs_on_an_interrupt_with_the_world_still_whole(files: Path) -> None:
    (files / "long.yaml").write_text(LONG)
    journal = files / "j.jsonl"
    argv = [KATRIO, "run", "--engine", "processes", "--journal", str(journal), str(files / "long.yaml")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "long" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=40)
    assert process.returncode == 130
    ended = [event for line in journal.read_text().splitlines() if (event := json.loads(line))["event"] == "step_ended"]
    # an interrupt may come before the container is up: finally runs all the same, and says what it saw
    assert ended[-1]["path"] == "finally[0]"


def test_a_program_is_run_recorded_and_its_record_holds(files: Path) -> None:
    program, record = files / "program.py", files / "record.yaml"
    program.write_text(PROGRAM)
    assert "held: 1 step" in output_of("run", "--engine", "processes", program, code=0)
    output_of("record", record, program, "--engine", "processes", code=0)
    output_of("run", "--engine", "processes", record, code=0)
    assert "--force writes over it" in output_of("record", record, program, "--engine", "processes", code=2)
    assert "OUT.yaml first" in output_of("record", program, record, code=2)
    assert "expected a Python file" in output_of("record", files / "new.yaml", record, code=2)


def test_a_program_is_validated_as_one(files: Path) -> None:
    program = files / "program.py"
    program.write_text(PROGRAM)
    assert "right (a program that loads; needs containers, exec)" in output_of("validate", program, code=0)
    assert "known once it runs" in output_of("run", "--dry-run", program, code=0)


@pytest.fixture
def outside(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project of somebody who has katrio installed."""
    (pytester.path / "test_holds.katrio.yaml").write_text(HOLDS)
    (pytester.path / "test_fails.katrio.yaml").write_text(FAILS)
    pytester.makepyfile(
        test_own="""
        def test_own(katrio):
            async def scenario(world):
                world.expect(3, 3)
            katrio.check(scenario)

        def test_skipped(katrio):
            async def scenario(world): ...
            katrio.check(scenario, needs=["images"])
        """
    )
    return pytester


def test_the_pytest_plugin_plays_in_the_simulated_world_and_finds_files_beside_the_test(
    pytester: pytest.Pytester,
) -> None:
    inner = pytester.mkdir("inner")
    (inner / "holds.yaml").write_text(HOLDS)
    (inner / "broken.yaml").write_text("name: x\n")
    (inner / "test_files.py").write_text(
        "def test_holds(katrio):\n    assert katrio.check('holds.yaml').seed == 7\n"
        "def test_broken(katrio):\n    katrio.check('broken.yaml')\n"
    )
    done = pytester.runpytest_subprocess("--katrio-world", "simulated", "--katrio-seed", "7", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*broken.yaml:1:1: why: found nothing*"])
    done.stdout.no_fnmatch_line("*Traceback*")
    done.stdout.no_fnmatch_line("*ScenarioError*")


def test_the_pytest_plugin_collects_files_and_has_a_fixture(outside: pytest.Pytester) -> None:
    done = outside.runpytest_subprocess("--katrio-engine", "processes", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=2, failed=1, skipped=1)
    done.stdout.fnmatch_lines(["*expected 'paused', saw 'running'*"])
