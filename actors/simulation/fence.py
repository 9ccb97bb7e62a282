"""The fence: real calls from inside a simulation raise, and the message names the caller.

During a run, and only for its thread: time, sleep, randomness, files, sockets, processes, threads and nng. Calls that
Trio and Python's own machinery need are allowed by caller. A name that was imported earlier (`from time import sleep`)
can't be guarded; the linter bans those in the product.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import _thread
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
from trio._core import _thread_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from types import FrameType, ModuleType

__all__ = ["EscapedSimulation", "Guard", "fenced", "guards"]


class EscapedSimulation(Exception):
    """A real call was made inside a simulation; the message names call, file, line and function."""


class Guard(NamedTuple):
    """One guarded name.

    Attributes:
        call: for display.
        owner, name: where it is.
        passed: modules that may make the call.
        through: modules through which it is made; their caller counts as the caller.
        pure: whether a call with these arguments has no effect outside.
    """

    call: str
    owner: Any
    name: str
    passed: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    pure: Callable[[tuple[Any, ...], dict[str, Any]], bool] | None = None


# modules that format tracebacks and log records, or import; they are not simulated
_DIAGNOSTIC_MODULES = (
    "logging",
    "linecache",
    "tokenize",
    "traceback",
    "warnings",
    "faulthandler",
    "importlib",
    "inspect",
)
_CLOCKS = (
    "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time",
    "process_time_ns", "thread_time", "thread_time_ns", "clock_gettime", "clock_gettime_ns",
)  # fmt: skip
_RANDOM = (
    "random", "uniform", "randint", "randrange", "choice", "choices", "sample", "shuffle", "getrandbits", "gauss",
    "randbytes", "seed",
)  # fmt: skip
_OPENING = ("open", "pipe", "pipe2", "openpty", "memfd_create", "eventfd")
_FILES = (
    "stat", "lstat", "access", "listdir", "scandir", "mkdir", "rmdir", "unlink", "remove", "rename", "replace",
    "link", "symlink", "readlink", "chmod", "truncate",
)  # fmt: skip
_PROCESSES = ("fork", "forkpty", "system", "execv", "execve", "posix_spawn", "posix_spawnp", "kill", "killpg")
_FILE_WAYS = ("tempfile", "shutil", "pathlib", "os", "posixpath", "genericpath", "glob")
_THREAD_WAYS = ("threading", "concurrent.", "trio.", "multiprocessing.")
# the sockets by which Trio wakes itself up
_TRIO_WAKEUP = ("trio._core._wakeup_socketpair",)


def guards() -> list[Guard]:
    """Every guarded name; nng's if it is imported, and otherwise its import."""
    return [*_time_guards(), *_random_guards(), *_file_guards(), *_outside_guards()]


def _time_guards() -> Iterator[Guard]:
    for name in _CLOCKS:
        yield Guard(f"time.{name}", time, name, passed=_DIAGNOSTIC_MODULES)
    for name in ("localtime", "gmtime", "ctime"):
        yield Guard(f"time.{name}", time, name, passed=_DIAGNOSTIC_MODULES, pure=_has_argument)
    yield Guard("time.sleep", time, "sleep")


def _random_guards() -> Iterator[Guard]:
    for name in _RANDOM:
        yield Guard(f"random.{name}", random, name)
    yield Guard("random.Random without a seed", random.Random, "__init__", through=("random", "tempfile"), pure=_seeded)
    yield Guard("os.urandom", random, "_urandom", through=("random", "secrets", "tempfile"))
    yield Guard("os.urandom", os, "urandom", through=("uuid", "secrets"))
    yield Guard("os.getrandom", os, "getrandom")
    for name in ("uuid1", "uuid4"):
        yield Guard(f"uuid.{name}", uuid, name)


def _file_guards() -> Iterator[Guard]:
    yield Guard("open", builtins, "open", passed=_DIAGNOSTIC_MODULES)
    yield Guard("io.open", io, "open", passed=_DIAGNOSTIC_MODULES, through=_FILE_WAYS)
    for name in (*_OPENING, *_FILES):
        yield Guard(f"os.{name}", os, name, passed=_DIAGNOSTIC_MODULES, through=_FILE_WAYS)


def _outside_guards() -> Iterator[Guard]:
    ways = ("socket", "trio._socket", "trio._highlevel_open_tcp_stream")
    yield Guard("socket.socket", socket.socket, "__init__", passed=_TRIO_WAKEUP, through=ways)
    yield Guard("socket.socketpair", socket, "socketpair", passed=_TRIO_WAKEUP, through=ways)
    yield Guard("socket.getaddrinfo", socket, "getaddrinfo", through=ways)
    yield Guard("subprocess.Popen", subprocess.Popen, "__init__", through=("subprocess", "os", "trio._subprocess"))
    yield Guard("trio.run_process", trio, "run_process")
    yield Guard("trio.lowlevel.open_process", trio.lowlevel, "open_process")
    for name in _PROCESSES:
        yield Guard(f"os.{name}", os, name, through=("os", "multiprocessing."))
    yield Guard("threading.Thread.start", threading.Thread, "start", through=_THREAD_WAYS)
    yield Guard("_thread.start_new_thread", _thread, "start_new_thread", through=_THREAD_WAYS)
    yield Guard("trio.to_thread.run_sync", trio.to_thread, "run_sync", through=("trio.",))
    # all of Trio's threads start through it, cached ones too
    yield Guard("a thread of Trio's", type(_thread_cache.THREAD_CACHE), "start_thread_soon", through=_THREAD_WAYS)
    nng: Any = sys.modules.get("pynng")
    if nng is not None:
        yield Guard("pynng.Socket", nng.Socket, "__init__", through=("pynng",))


def _has_argument(arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Arguments were given, so the result is deterministic."""
    return any(value is not None for value in (*arguments, *options.values()))


def _seeded(arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """The system's generator has no state, and is guarded when it is used."""
    return isinstance(arguments[0], random.SystemRandom) or _has_argument(arguments[1:], options)


class _NoImport(MetaPathFinder):
    """Importing nng starts threads."""

    def __init__(self, refuse: Callable[[Guard], None]) -> None:
        self._refuse = refuse

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == "pynng":
            self._refuse(Guard("import pynng", None, "", through=("importlib", "_frozen_importlib")))


@contextmanager
def fenced() -> Generator[list[EscapedSimulation]]:
    """Guard all names inside the block; the list gets every refused call, even if its exception was swallowed."""
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
        if guard.pure is None or not guard.pure(args, options):
            refuse(guard)
        return original(*args, **options)

    return call


def _caller(guard: Guard) -> FrameType | None:
    """The first frame outside the fence that does not just forward the call."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (_belongs(frame, (__name__,)) or _belongs(frame, guard.through)):
        frame = frame.f_back
    return frame


def _belongs(frame: FrameType | None, modules: tuple[str, ...]) -> bool:
    """A module name that ends with a dot matches everything below it."""
    name = str(frame.f_globals.get("__name__", "")) if frame is not None else ""
    return any(
        name == module or name.startswith(module if module.endswith(".") else f"{module}.") for module in modules
    )


def _place(frame: FrameType | None) -> str:
    if frame is None:
        return "nobody"
    return f"{Path(frame.f_code.co_filename)}:{frame.f_lineno} in {frame.f_code.co_qualname}"
