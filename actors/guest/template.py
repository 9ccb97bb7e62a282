"""`python -m actors.guest.template`: a process with everything imported, which is forked for each sandbox.

Theory of operation. Importing what a guest needs takes ten times as long as all the rest of its start; this process does it once. Its
standard input is a socket of the host process, over which it is given, for each sandbox, two descriptors and nothing else: a
*control* socket and the log. It forks; the fork is the sandbox's launcher (`launch`), and reads from its control socket what it is to
start. So the template never holds anything of a sandbox, and nothing of one can reach the next.

    host                          template             launcher (a fork)           guest (its fork)
      | control, log -------------> | fork -------------> |
      | <-- {launcher: pid}, pidfd ---------------------- |
      | request ----------------------------------------> | fork ------------------> | serves
      | <-- {guest: pid}, pidfd ------------------------- |
      | (its end of control stays open: the lifeline)     | waits for either's end
      | <-- {code: n} ----------------------------------- | sweeps, ends

The control socket is each launcher's own lifeline. The template is nobody's: when it dies, what was forked lives on, and the next start
makes another. It ends when the host closes its socket or dies. It has one thread and has never run Trio, so that a fork of it is
a process like any other; what was drawn at random while importing is drawn anew in each fork. What all forks share is the secret
of Python's string hashes, so nothing may be derived from `hash()` that another guest must not guess.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, NoReturn

from actors.errors import KatrioError
from actors.guest import launch, syscalls
from actors.guest.compose import import_server
from actors.limits import guest_limits
from actors.node.protocols import GuestProtocol
from actors.seams import imported_generators
from actors.words import ENGINES

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

# control and log
_DESCRIPTORS = 2


def _parse(argv: Sequence[str] | None) -> launch.Kind:
    parser = argparse.ArgumentParser(
        prog="python -m actors.guest.template",
        description="Fork a launcher and its guest for each request on standard input.",
    )
    parser.add_argument("--engine", required=True, choices=ENGINES, help="what runs the containers")
    parser.add_argument(
        "--protocol",
        choices=[str(word) for word in GuestProtocol],
        default=str(GuestProtocol.TTRPC),
        help="what the agents speak (default: %(default)s)",
    )
    parser.add_argument(
        "--limit", action="append", default=[], metavar="NAME=NUMBER", help="one of a guest's bounds; may be repeated"
    )
    parsed = parser.parse_args(argv)
    try:
        limits = guest_limits(parsed.limit)
    except KatrioError as error:
        parser.error(f"--limit: {error}")
    return launch.Kind(parsed.engine, GuestProtocol(parsed.protocol), limits)


def main(argv: Sequence[str] | None = None, *, serving: str = "actors.guest.serve") -> int:
    """Fork for each request until the host is gone; the exit code. `serving`: the module with the guest's `serve` and `prepare`."""
    kind = _parse(argv)
    # nearly all that imports make stays; each fork has its collector again
    gc.disable()
    module = importlib.import_module(serving)
    import_server(kind.protocol)
    serve: launch.Serve = module.serve
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError(f"{serving} starts a thread when it is imported: what has threads can't be forked")
    generators = imported_generators()
    requests = socket.socket(fileno=os.dup(0))
    os.set_inheritable(requests.fileno(), False)
    # launchers are collected by the kernel: the host has their pidfds
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    syscalls.name_process("katrio-template")
    prepared = False
    while True:
        if not prepared and not select.select((requests,), (), (), 0)[0]:
            # the first guest is waited for, and makes for itself what it needs; those after it find all of it made
            module.prepare(kind.protocol)
            prepared = True
        data, descriptors, _, _ = socket.recv_fds(requests, 1, _DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        if not data:
            return 0
        control, log = descriptors
        try:
            pid = os.fork()
        except OSError as error:
            os.write(control, json.dumps({"errno": error.errno}).encode())
        else:
            if pid == 0:
                requests.close()
                for generator in generators:
                    generator.seed()
                _become_launcher(control, log, kind, serve)
        os.close(control)
        os.close(log)


def _become_launcher(control: int, log: int, kind: launch.Kind, serve: launch.Serve) -> NoReturn:
    """In the fork: a session of its own, the control socket for standard input, its output to the log."""
    code = launch.NOT_BEGUN
    try:
        # what is never freed is never looked at, and its pages stay shared
        gc.freeze()
        gc.enable()
        os.setsid()
        os.dup2(control, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(control)
        os.close(log)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        launch.report({"launcher": os.getpid()}, os.pidfd_open(os.getpid()))
        request = launch.receive()
        # a host that has given up has begun nothing
        if request:
            sandbox, directory = json.loads(request)
            code = launch.launch(sandbox, directory, kind, serve)
        launch.report({"code": code})
    except BaseException as error:
        print(f"the launcher failed: {error!r}", file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
