"""Which files a folder means, and what is left out with or without a word."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from actors.cli.files import list_files, load_all, validate
from actors.cli.find import find_files
from actors.cli.options.files import FileOptions
from actors.scenario.reading.load import looks_like_scenario

GOOD = "name: a\nwhy: b\nsteps:\n  - sleep: 1s\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With scenarios in places where they count, and where they do not."""
    for place in ("", "sub", ".hidden", "node_modules/x", "env", "sub/__pycache__"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / "a.yaml").write_text(GOOD)
    (tmp_path / "env/pyvenv.cfg").touch()
    (tmp_path / ".b.yaml").write_text(GOOD)
    (tmp_path / "c.yml").symlink_to("a.yaml")
    (tmp_path / "sub/loop").symlink_to("..")
    (tmp_path / "sub/loop.yaml").symlink_to("..")
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("sock.yaml")
    return tmp_path


def test_a_folder_is_walked_as_a_project_is(folder: Path) -> None:
    found = find_files((folder,))
    assert [str(path.relative_to(folder)) for path in found.walked] == ["a.yaml", "c.yml", "sub/a.yaml"]
    assert [note.replace(f"{folder}/", "") for note in found.skipped] == [
        "fifo.yaml: skipped: no regular file",
        "gone.yaml: skipped: No such file or directory",
        "sock.yaml: skipped: no regular file",
        "zero.yaml: skipped: no regular file",
    ]
    # what is named is looked at wherever it lies
    assert [path.parent.name for path in find_files((folder / ".hidden", folder / "env")).walked] == [".hidden", "env"]


def test_a_walk_is_bounded(folder: Path) -> None:
    found = find_files((folder,), most=5)
    assert found.walked == []
    assert "more than 5 files and folders" in str(found.problems[0])


@pytest.mark.parametrize(
    ("name", "what"), [("zero.yaml", "a device"), ("sock.yaml", "a socket"), ("gone.yaml", "No such")]
)
def test_a_named_file_must_be_one(folder: Path, name: str, what: str) -> None:
    loaded, problems = load_all((folder / name,))
    assert loaded == []
    assert what in problems[0].found


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, GOOD.encode())
    os.close(write_end)
    loaded, problems = load_all((Path(f"/dev/fd/{read_end}"),))
    os.close(read_end)
    assert ([one.scenario.name for one in loaded], problems) == (["a"], [])


FOREIGN = {
    "workflow": "name: ci\non: push\njobs: {a: {steps: [{run: x}]}}\n",
    "compose": "services: {a: {image: b}}\n",
    "template": "{{ if .Values.x }}\nname: a\n",
    "several documents": "kind: Pod\n---\nkind: Pod\n",
    "pipeline": "name: a\nsteps:\n  - script: x\n",
    "list": "- hosts: all\n",
    "a part to include": "sandboxes: {}\nvars: {}\n",
    "empty": "",
    "no text": "\udcff\udcfe",
}
KNOWN = {FOREIGN["workflow"]: "a GitHub workflow", FOREIGN["compose"]: "a Compose file"}
MEANT = {
    "a slip in steps": "name: a\nwhy: b\nstesp: []\n",
    "a slip in why": "name: a\nwyh: b\nsandboxes: {}\nsteps: []\n",
    "broken": 'name: a\n"why": b\nsteps: [\n',
    "one line": "{name: a, why: b, steps: 3}\n",
}


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN.keys())
def test_another_tools_file_is_skipped_with_a_note(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    file = tmp_path / "foreign.yaml"
    file.write_text(text, errors="surrogateescape")
    loaded, problems = load_all((tmp_path,))
    assert (len(loaded), problems) == (1, [])
    what = KNOWN.get(text, "no scenario")
    assert capsys.readouterr().err == f"katrio: {file}: skipped: {what}\n"
    assert load_all((file,))[1] != []


@pytest.mark.parametrize("text", MEANT.values(), ids=MEANT.keys())
def test_a_scenario_with_a_fault_refuses_the_folder(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(text)
    assert load_all((tmp_path,))[1] != []
    assert looks_like_scenario(text.encode())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, []),
        ({"one": "1"}, []),
        ({"one": "1", "two": "2"}, []),
        ({"ome": "1"}, ["found --var ome, expected a name of 'vars'; did you mean one?"]),
        ({"one": "1", "far": "2"}, ["found --var far, expected a name of 'vars'"]),
    ],
)
def test_a_value_is_for_the_files_that_have_its_variable_and_one_must(
    given: dict[str, str], told: list[str], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(f"vars: {{{name}: x}}\n{GOOD}")
    (tmp_path / "none.yaml").write_text(GOOD)
    loaded, problems = load_all((tmp_path,), given=given)
    assert [str(problem) for problem in problems] == [f"{tmp_path}: vars: {one}" for one in told]
    assert {name: one.scenario.vars[name] for one in loaded for name in one.scenario.vars} == {
        name: given.get(name, "x") for name in ("one", "two")
    }
    # those that a filter leaves out have it all the same, and a file that is broken may
    assert load_all((tmp_path,), given={"one": "1"}, words=["none"])[1] == []
    (tmp_path / "one.yaml").write_text("name: a\nwhy: b\nsteps: 3\n")
    assert all("--var" not in str(problem) for problem in load_all((tmp_path,), given={"one": "1"})[1])


def _said(capsys: pytest.CaptureFixture[str], *paths: Path) -> tuple[int, str]:
    code = validate(FileOptions(paths, json=False))
    return code, "".join(capsys.readouterr())


def test_a_folder_without_scenarios_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _said(capsys, tmp_path) == (
        2,
        f"katrio: {tmp_path}: found no .yaml or .yml file in it or below, expected a folder of scenarios\n",
    )
    (tmp_path / "program.py").write_text("")
    assert "is run by its own name, as program.py" in _said(capsys, tmp_path)[1]
    (tmp_path / "a.yml").write_text("a: b\n")
    assert "found no scenario among its files" in _said(capsys, tmp_path)[1]
    assert validate(FileOptions((tmp_path,), json=True)) == 2
    assert '"found": "no scenario among its files"' in capsys.readouterr().out
    assert list_files(FileOptions((tmp_path,), json=False)) == 2
    assert "found no scenario among its files" in capsys.readouterr().err


def test_a_missing_image_is_found_where_it_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "images.yaml"
    (tmp_path / "there.tar").touch()
    file.write_text(
        f"""\
name: a
why: b
vars: {{here: "{tmp_path}", gone: /no/such}}
defaults: {{command: x, image: "oci:/no/layout:tag"}}
sandboxes:
  box:
    containers:
      image: {{image: busybox}}
      one: {{image: alpine}}
      two: {{image: "${{gone}}"}}
      three: {{image: "dir:${{here}}"}}
      four: {{image: "docker-archive:${{here}}/there.tar"}}
      five: {{image: "docker-archive:${{here}}/gone.tar"}}
      six: {{image: /not/there}}
steps:
  - {{create: six, expect: {{error: not_found}}}}
"""
    )
    code, said = _said(capsys, file)
    places = [line.partition(": found")[0].removeprefix(f"katrio: {file}:") for line in said.splitlines()]
    assert (code, places) == (
        2,
        [
            "4:31: defaults.image",
            "9:20: sandboxes.box.containers.one.image",
            "10:20: sandboxes.box.containers.two.image",
            "13:21: sandboxes.box.containers.five.image",
        ],
    )


def test_many_notes_are_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(13):
        (tmp_path / f"{number}.yaml").write_text("a: b\n")
    load_all((tmp_path,))
    assert capsys.readouterr().err.splitlines()[-1] == "katrio: and 3 more were skipped"
    assert len(capsys.readouterr().err.splitlines()) == 0
