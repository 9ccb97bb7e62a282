"""A plugin of pytest: which functions each test enters, and then only the tests that enter a certain one, the quickest first.

`KATRIO_MUTATION_TOUCHES` names a file that gets what each test entered and how long it took; `KATRIO_MUTATION_CHOSEN` one with the
names of the tests to ask, in their order. What a test enters in another process is not seen, so it may be left out: that makes a
fault survive, and never the other way round.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import CodeType, FrameType

ROOT = f"{Path(__file__).resolve().parents[2]}/"
TOUCHES = os.environ.get("KATRIO_MUTATION_TOUCHES")
CHOSEN = os.environ.get("KATRIO_MUTATION_CHOSEN")


class _Touches:
    """What was entered since the last look, by code objects: a set of those is cheap in every call."""

    def __init__(self) -> None:
        self._codes: set[CodeType] = set()
        self._tests: dict[str, tuple[float, list[str]]] = {}

    def entered(self, frame: FrameType, _event: str, _arg: Any) -> None:
        self._codes.add(frame.f_code)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self._codes.clear()
        began = time.monotonic()
        sys.settrace(self.entered)
        threading.settrace(self.entered)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)
            names = {place(code) for code in self._codes if code.co_filename.startswith(ROOT)}
            self._tests[item.nodeid] = time.monotonic() - began, sorted(names)

    def pytest_sessionfinish(self) -> None:
        assert TOUCHES is not None
        Path(TOUCHES).write_text(json.dumps(self._tests))


def place(code: CodeType) -> str:
    """Path and name of a function, as a mutant has them; what stands inside a function is the function."""
    return f"{code.co_filename.removeprefix(ROOT)}: {code.co_qualname.partition('.<locals>')[0]}"


def pytest_configure(config: pytest.Config) -> None:
    if TOUCHES is not None:
        config.pluginmanager.register(_Touches())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if CHOSEN is not None:
        order = {name: number for number, name in enumerate(json.loads(Path(CHOSEN).read_text()))}
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in order])
        items[:] = sorted((item for item in items if item.nodeid in order), key=lambda item: order[item.nodeid])
