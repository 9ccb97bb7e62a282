"""The fence: real calls from inside a simulation raise, and the message names who made them.

For the time of a run, and for the thread that runs it alone: time, sleep, randomness, files, sockets, processes,
threads and nng. What Trio and Python's own machinery need for themselves is let through by caller. A name that was
imported out of its module earlier (`from time import sleep`) is out of reach; the linter refuses those in the product.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import builtins
import io
import os
import random
import socket
import subprocess
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from functools import wraps
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from types import FrameType, ModuleType

__all__ = ["EscapedSimulation", "Guard", "fenced", "guards"]


class EscapedSimulation(Exception):
    """Something inside a simulation made a real call; the message names call, file, line and function."""


class Guard(NamedTuple):
    """One name to guard.

    Attributes:
        call: for people.
        owner, name: where it is.
        passed: modules that may make the call.
        through: modules by way of which it is made; who called them is the caller.
    """

    call: str
    owner: Any
    name: str
    passed: tuple[str, ...] = ()
    through: tuple[str, ...] = ()


# what writes tracebacks and log records; neither is part of what is simulated
_TELLING = ("logging", "linecache", "tokenize", "traceback", "warnings", "faulthandler")
_CLOCKS = (
    "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time",
    "process_time_ns", "thread_time", "localtime", "gmtime",
)  # fmt: skip
_RANDOM = (
    "random", "uniform", "randint", "randrange", "choice", "choices", "sample", "shuffle", "getrandbits", "gauss",
    "randbytes", "seed",
)  # fmt: skip
# the sockets by which Trio wakes itself
_TRIO_WAKEUP = ("trio._core._wakeup_socketpair",)


def guards() -> list[Guard]:
    """Every name that is guarded; nng's when it was imported, and its import when it was not."""
    found = [Guard(f"time.{name}", time, name, passed=_TELLING) for name in _CLOCKS]
    found += [Guard("time.sleep", time, "sleep")]
    found += [Guard(f"random.{name}", random, name) for name in _RANDOM]
    found += [Guard("os.urandom", os, "urandom", through=("uuid", "random", "secrets"))]
    found += [Guard(f"uuid.{name}", uuid, name) for name in ("uuid1", "uuid4")]
    found += [
        Guard("open", builtins, "open", passed=_TELLING),
        Guard("io.open", io, "open", passed=_TELLING, through=("pathlib",)),
    ]
    found += [
        Guard(f"os.{name}", os, name, through=("tempfile", "shutil", "pathlib"))
        for name in ("open", "pipe", "pipe2", "fork", "openpty")
    ]
    found += [
        Guard(
            "socket.socket",
            socket.socket,
            "__init__",
            passed=_TRIO_WAKEUP,
            through=("socket", "trio._socket", "trio._highlevel_open_tcp_stream"),
        )
    ]
    found += [Guard("subprocess.Popen", subprocess.Popen, "__init__", through=("subprocess", "trio._subprocess"))]
    found += [
        Guard("threading.Thread.start", threading.Thread, "start", through=("threading", "concurrent.futures.thread"))
    ]
    found += [Guard("trio.to_thread.run_sync", trio.to_thread, "run_sync", through=("trio.",))]
    found += [
        Guard("trio.run_process", trio, "run_process"),
        Guard("trio.lowlevel.open_process", trio.lowlevel, "open_process"),
    ]
    nng: Any = sys.modules.get("pynng")
    if nng is not None:
        found.append(Guard("pynng.Socket", nng.Socket, "__init__", through=("pynng",)))
    return found


class _NoImport(MetaPathFinder):
    """nng starts threads when it is imported."""

    def __init__(self, refuse: Callable[[Guard], None]) -> None:
        self._refuse = refuse

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == "pynng":
            self._refuse(Guard("import pynng", None, "", through=("importlib",)))


@contextmanager
def fenced() -> Generator[list[EscapedSimulation]]:
    """Guard them all while this is entered; the list gets every refusal, those too that somebody swallowed."""
    escaped: list[EscapedSimulation] = []
    inside = threading.get_ident()

    def refuse(guard: Guard) -> None:
        if threading.get_ident() != inside:
            return
        frame = _caller(guard)
        if not _belongs(frame, guard.passed):
            escaped.append(EscapedSimulation(f"{guard.call} was called by {_place(frame)}, inside a simulation"))
            raise escaped[-1]

    originals: list[tuple[Guard, Any]] = []
    importing = _NoImport(refuse)
    try:
        for guard in guards():
            original = getattr(guard.owner, guard.name)
            originals.append((guard, original))
            setattr(guard.owner, guard.name, _guarded(guard, original, refuse))
        sys.meta_path.insert(0, importing)
        yield escaped
    finally:
        if importing in sys.meta_path:
            sys.meta_path.remove(importing)
        for guard, original in originals:
            setattr(guard.owner, guard.name, original)


def _guarded(guard: Guard, original: Callable[..., Any], refuse: Callable[[Guard], None]) -> Callable[..., Any]:
    @wraps(original)
    def call(*args: Any, **options: Any) -> Any:
        refuse(guard)
        return original(*args, **options)

    return call


def _caller(guard: Guard) -> FrameType | None:
    """The first frame outside the fence that is not just the way to the call."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (_belongs(frame, (__name__,)) or _belongs(frame, guard.through)):
        frame = frame.f_back
    return frame


def _belongs(frame: FrameType | None, modules: tuple[str, ...]) -> bool:
    """A name with a dot at its end stands for all below it."""
    name = str(frame.f_globals.get("__name__", "")) if frame is not None else ""
    return any(
        name == module or name.startswith(module if module.endswith(".") else f"{module}.") for module in modules
    )


def _place(frame: FrameType | None) -> str:
    if frame is None:
        return "nobody"
    return f"{Path(frame.f_code.co_filename)}:{frame.f_lineno} in {frame.f_code.co_qualname}"
