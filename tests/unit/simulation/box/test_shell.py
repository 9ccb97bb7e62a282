"""The simulated shell by itself: what it refuses by name, what scenarios need of it, and that nothing makes it fall over."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import trio
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.simulation.box.kernel.execution import CALLS
from actors.simulation.box.kernel.files import Null
from actors.simulation.box.kernel.kernel import Kernel
from actors.simulation.box.kernel.process import Container, Launch
from actors.simulation.box.programs.shell.arithmetic import evaluate
from actors.simulation.box.programs.shell.main import sh
from actors.simulation.box.programs.shell.parser import parse
from actors.simulation.box.programs.shell.patterns import escaped, matches, without_prefix, without_suffix
from actors.simulation.box.programs.shell.syntax import NotSupported, Script
from actors.simulation.image import busybox_tree
from tests.support.simulated import Ended, open_engine, process, run_script, spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SCENARIOS = sorted((Path(__file__).parents[4] / "scenarios").glob("**/*.yaml"))


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ("cat <(echo a)", "<(...)"),
        ("cat <<< a", "<<<"),
        ("((1+1))", "((...))"),
        ("for ((i=0; i<3; i++)); do echo; done", "for ((...))"),
        ("select x in a; do echo; done", "select"),
        ("coproc cat", "coproc"),
        ("time true", "time"),
        ("echo a |& cat", "|&"),
        ("alias ll=ls", "alias"),
        ("exec 12>&1", "descriptor 12, above 9,"),
        ("getopts ab x", "getopts"),
        ("set -o vi", "set: option vi"),
        ("[[ a =~ b ]]", "[[ with more than a comparison"),
        ("kill -TERM -- -5", "kill of a process group"),
        ("read -t 1 x", "read -t"),
    ],
)
async def test_what_it_can_not_do_is_named(script: str, what: str, autojump_clock: trio.testing.MockClock) -> None:
    ended = await run_script(script)
    assert ended == Ended(b"", f"sh: {what} is not supported in a simulated shell\n".encode(), 2)


async def test_a_fault_comes_after_the_lines_before_it(autojump_clock: trio.testing.MockClock) -> None:
    ended = await run_script("echo one\necho two; cat <<< x\necho three")
    assert ended.stdout == b"one\n"
    assert ended.code == 2


async def test_options_of_programs_are_refused_by_name(autojump_clock: trio.testing.MockClock) -> None:
    ended = await run_script("ls -lR")
    assert ended == Ended(b"", b"ls: option -l is not supported by the simulated program\n", 1)


def commands(value: object) -> Iterator[str]:
    """Every command of a scenario that a shell would read."""
    if isinstance(value, dict):
        table = cast("dict[str, object]", value)
        command = table.get("command")
        if isinstance(command, str):
            yield command
        for inner in table.values():
            yield from commands(inner)
    elif isinstance(value, list):
        for item in cast("Iterable[object]", value):
            yield from commands(item)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.name)
def test_every_script_of_a_scenario_can_be_read(path: Path) -> None:
    for script in commands(yaml.safe_load(path.read_text("utf-8"))):
        assert parse(script).fault is None, script


async def test_an_interactive_shell_prompts_and_goes_on_after_a_fault(autojump_clock: trio.testing.MockClock) -> None:
    async with open_engine() as engine:
        await engine.create("one", spec("sleep", "infinity"))
        await engine.start("one")
        shell = await engine.exec("one", process("sh", terminal=True))
        seen = b""

        async def until(wanted: bytes) -> None:
            nonlocal seen
            while wanted not in seen:
                seen += await shell.stdout.receive_some()

        await until(b"/ # ")
        for line in (b"cd /tmp\r", b"echo )\r", b"if true\r", b"then echo yes; fi\r", b"exit 3\r"):
            await shell.stdin.send_all(line)
        assert (await shell.wait()).code == 3
        await until(b"exit 3")
        assert b"/tmp # " in seen
        assert b'syntax error: unexpected ")"' in seen
        assert b"> then echo yes; fi\r\nyes\r\n" in seen


async def test_a_trap_waits_for_the_foreground_command_and_not_for_wait(autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()
    ended = await run_script('trap "echo t" USR1; (sleep 1; kill -USR1 $$) & sleep 5; echo after')
    assert ended.stdout == b"t\nafter\n"
    assert 5 < trio.current_time() - began < 6
    began = trio.current_time()
    ended = await run_script('trap "echo t" USR1; (sleep 1; kill -USR1 $$) & wait; sleep 5 & wait $!; echo $?')
    assert ended.stdout == b"t\n0\n"


async def test_too_deep_is_an_answer(autojump_clock: trio.testing.MockClock) -> None:
    ended = await run_script("f() { f; }; f")
    assert ended.code == 2
    assert b"nested too deep" in ended.stderr
    for script in ("(" * 5000, "$(" * 5000, "{ " * 5000, "if " * 5000, "echo " + "$(echo " * 500, "! " * 100_000):
        assert (await run_script(script)).code in (1, 2)
    for script in ("echo " + "${x:-" * 5000, 'echo "' + '${x:-"' * 5000, "case x in a) " * 5000, "f() " * 5000):
        assert (await run_script(script)).code in (1, 2)
    assert (await run_script("true && " * 3000 + "exit 7")).code == 7
    assert (await run_script("exit $((" + "1+" * 3000 + "-2999))")).code == 1
    assert b"recursion" in (await run_script("echo $((" + "(" * 5000 + "1" + ")" * 5000 + "))")).stderr
    assert b"recursion" in (await run_script("x=x; echo $((x))")).stderr


async def test_digits_that_are_no_numbers_are_text(autojump_clock: trio.testing.MockClock) -> None:
    ended = await run_script("echo \u00b2>&1\nkill \u00b2; wait %\u00b2; echo a >&\u00b2\necho ${1\u00b2}; echo never")
    assert ended.stdout == "\u00b2\n".encode()
    assert ended.code == 2


async def test_what_a_shell_holds_is_bounded(autojump_clock: trio.testing.MockClock) -> None:
    ended = await run_script("x=$(yes); echo never")
    assert ended.code == 2
    assert b"out of memory" in ended.stderr


# whatever is written: read, refused, or run; never an error of ours

PIECES = st.sampled_from(
    [
        "echo",
        "a",
        "b",
        "x=1",
        "$x",
        "${x",
        "}",
        "${x%",
        "${x:-",
        '"',
        "'",
        "`",
        "$(",
        ")",
        "$((",
        "))",
        "((",
        "(",
        "{",
        "}",
        "if",
        "then",
        "else",
        "elif",
        "fi",
        "while",
        "do",
        "done",
        "for",
        "in",
        "case",
        "esac",
        "",
        "",
        "&&",
        "||",
        "|",
        "&",
        "!",
        ">f",
        "<f",
        "2>&1",
        ">&-",
        "<<E",
        "E",
        "\n",
        " ",
        "\\",
        "*",
        "[",
        "]",
        "[[",
        "]]",
        "test",
        "exit",
        "return",
        "break",
        "continue",
        "trap",
        "wait",
        "kill",
        "read",
        "set",
        "-e",
        "-u",
        "shift",
        "eval",
        "local",
        "f()",
        "f",
        "cd",
        "/",
        ".",
        "exec",
        "export",
        "unset",
        "printf",
        "%s",
        "%d",
        "true",
        "false",
        "sleep 1",
        "cat",
        "$?",
        "$!",
        "$#",
        "$@",
        '"$@"',
        "~",
        "#",
        "0",
        "1",
        "-1",
        "99",
        "+",
        "seq 3",
        "yes",
        "head -n 1",
    ]
)


@settings(max_examples=300)
@given(st.lists(PIECES, max_size=25).map(" ".join))
def test_nothing_that_is_written_makes_the_shell_fall_over(script: str) -> None:
    kernel = Kernel(random.Random(0).random, CALLS)
    container = Container("box", busybox_tree(readonly=False))
    container.memory_limit = 64 * 1024 * 1024
    container.process_limit = 20
    files = {0: Null(), 1: Null(), 2: Null()}
    kernel.spawn(container, Launch(sh, ("sh", "-c", script), {"PATH": "/bin"}, "/", files))
    kernel.run(0)
    for _ in range(200):
        kernel.run(min(kernel.next_time(), kernel.now + 1))


@given(st.text(max_size=60))
def test_any_text_is_a_script_or_a_fault(text: str) -> None:
    assert isinstance(parse(text), Script)


def test_a_script_is_parsed_once() -> None:
    assert parse("echo once") is parse("echo once")
    assert isinstance(parse("echo |& x").fault, NotSupported)


# arithmetic and patterns against Python's own


NUMBERS = st.integers(0, 1000).map(str)
OPERATORS = st.sampled_from("+-*&|^")


@given(
    st.recursive(NUMBERS, lambda inner: st.tuples(inner, OPERATORS, inner).map(lambda three: f"({' '.join(three)})"))
)
def test_arithmetic_is_arithmetic(text: str) -> None:
    variables: dict[str, str] = {}
    expected = (eval(text) + 2**63) % 2**64 - 2**63
    assert evaluate(text, lambda name: variables.get(name, ""), variables.__setitem__) == expected


@given(st.text("ab*?[]\\-", max_size=8), st.text("ab*?[]\\-", max_size=8))
def test_an_escaped_text_matches_itself_alone(text: str, other: str) -> None:
    assert matches(escaped(text), text)
    assert matches(escaped(text), other) is (text == other)


@given(st.text("ab", max_size=8), st.text("ab*?", max_size=4), st.booleans())
def test_what_is_taken_away_matched_and_the_rest_is_left(text: str, pattern: str, longest: bool) -> None:
    front = without_prefix(pattern, text, longest=longest)
    back = without_suffix(pattern, text, longest=longest)
    assert text.endswith(front)
    assert text.startswith(back)
    if front != text:
        assert matches(pattern, text[: len(text) - len(front)])
    if back != text:
        assert matches(pattern, text[len(back) :])
