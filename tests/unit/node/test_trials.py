"""Which engine is taken where none is named, and what is kept of a trial."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from actors.errors import Unsupported
from actors.node.cgroups import CgroupKind
from actors.node.facts import Facts, Tool, choose_engine
from actors.node.trials import kept_result, tried

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

RUNC, CRUN = Tool("/usr/sbin/runc", "runc 1"), Tool("/usr/bin/crun", "crun 1")
BOTH = Facts(
    root=True,
    runc=RUNC,
    crun=CRUN,
    cgroups=CgroupKind.V2,
    freezer=True,
    busybox="/bin/busybox",
    user_namespaces=True,
    overlayfs=True,
)
OF: Mapping[str, str | int] = {"program": "/usr/bin/crun", "bytes": 5}


@pytest.mark.parametrize(
    ("facts", "engine", "told"),
    [
        (BOTH._replace(trial=""), "crun", "crun 1, which a trial showed to work"),
        (BOTH._replace(trial="create ended with 3"), "runc", "runc 1; crun failed its trial: create ended with 3"),
        (BOTH, "runc", "by runc 1"),
        (BOTH._replace(crun=None), "runc", "by runc 1"),
        (BOTH._replace(runc=None, trial=""), "crun", "crun 1, which a trial"),
        # nothing that isolates less is taken for it: its own error says more
        (BOTH._replace(runc=None, trial="it hung"), "crun", "crun failed its trial: it hung"),
        (BOTH._replace(runc=None), "crun", "by crun 1"),
        (BOTH._replace(runc=None, crun=None), "processes", "no runc here"),
        (BOTH._replace(root=False), "processes", "not root"),
        (BOTH._replace(freezer=False), "processes", "no writable freezer"),
    ],
)
def test_the_faster_one_is_taken_where_it_is_known_to_work(facts: Facts, engine: str, told: str) -> None:
    found, reason = choose_engine(facts)
    assert found == engine
    assert told in reason


@pytest.mark.parametrize("trial", [None, "", "it hung"])
@pytest.mark.parametrize("engine", ["runc", "crun", "processes"])
def test_one_that_is_named_is_taken_whatever_a_trial_showed(engine: str, trial: str | None) -> None:
    assert choose_engine(BOTH._replace(trial=trial), engine)[0] == engine
    if engine != "processes":
        without = BOTH._replace(runc=None) if engine == "runc" else BOTH._replace(crun=None)
        with pytest.raises(Unsupported, match=f"apt-get install {engine}"):
            choose_engine(without._replace(trial=trial), engine)


@pytest.mark.parametrize("facts", [BOTH._replace(crun=None), BOTH._replace(root=False), BOTH._replace(freezer=False)])
def test_what_can_t_be_used_is_not_tried(facts: Facts) -> None:
    assert tried(facts) == facts


def test_nothing_is_tried_without_a_program_to_run_in_it() -> None:
    assert "busybox-static" in (tried(BOTH._replace(busybox=None)).trial or "")


class Trial:
    def __init__(self, *results: str) -> None:
        self.results = list(results)

    def __call__(self) -> str:
        return self.results.pop(0)


@pytest.mark.parametrize("failed", ["", "it hung"])
def test_a_result_is_kept_as_long_as_nothing_has_changed(tmp_path: Path, failed: str) -> None:
    trial = Trial(failed, "second", "third")
    assert kept_result(tmp_path, OF, trial) == (failed, True)
    assert kept_result(tmp_path, OF, trial) == (failed, False)
    assert kept_result(tmp_path, {**OF, "bytes": 6}, trial) == ("second", True)
    assert kept_result(tmp_path, {**OF, "bytes": 6}, trial, anew=True) == ("third", True)
    assert kept_result(tmp_path, {**OF, "bytes": 6}, trial) == ("third", False)


@pytest.mark.parametrize(
    "kept",
    ["", "{", "[]", "null", "{}", json.dumps({"of": OF}), json.dumps({"of": 3, "failed": ""}), "\udcff", "9" * 9000],
)
def test_what_is_no_result_is_none(tmp_path: Path, kept: str) -> None:
    (tmp_path / "crun.json").write_bytes(kept.encode(errors="surrogateescape"))
    assert kept_result(tmp_path, OF, Trial("so")) == ("so", True)


def test_a_trial_that_can_t_be_made_leaves_no_result(tmp_path: Path) -> None:
    def fails() -> str:
        raise OSError("no process")

    with pytest.raises(OSError, match="no process"):
        kept_result(tmp_path, OF, fails)
    assert kept_result(tmp_path, OF, Trial("so")) == ("so", True)


def test_of_several_at_once_one_tries(tmp_path: Path) -> None:
    trial = Trial("once")
    found: list[tuple[str, bool]] = []
    ready = threading.Barrier(4)

    def ask(trial: Callable[[], str]) -> None:
        ready.wait()
        found.append(kept_result(tmp_path, OF, trial))

    threads = [threading.Thread(target=ask, args=(trial,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [("once", False)] * 3 + [("once", True)]
