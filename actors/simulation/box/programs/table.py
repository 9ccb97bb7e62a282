"""The table of programs that a simulated container has, each with one line on what it does.

For the image of a simulated container, and for `docs/simulated-programs.md`, which repeats it (a test
compares the two).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from actors.simulation.box.programs import fields, files, streams, system
from actors.simulation.box.programs.common import UsageFault, complain
from actors.simulation.box.programs.shell.main import sh

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.simulation.box.kernel.calls import Body, Program
    from actors.simulation.box.kernel.process import Process

__all__ = ["PROGRAMS", "ProgramRow"]


@dataclass(frozen=True, slots=True)
class ProgramRow:
    """One program. `summary`: what it does and which options it knows."""

    run: Program
    summary: str


def _program(body: Callable[[Process], Body], summary: str) -> ProgramRow:
    def run(process: Process) -> Body:
        try:
            return (yield from body(process))
        except UsageFault as fault:
            yield from complain(process, fault.message)
            return fault.status

    return ProgramRow(run, summary)


PROGRAMS: Mapping[str, ProgramRow] = MappingProxyType(
    {
        "[": _program(system.condition, "as `test`, up to `]`"),
        "ash": ProgramRow(sh, "the shell, see below"),
        "basename": _program(fields.basename, "the last part of a path, without a suffix"),
        "busybox": _program(system.busybox, "`busybox NAME ARGUMENT...`"),
        "cat": _program(streams.cat, "files or stdin, one after the other"),
        "chmod": _program(
            files.chmod, "modes of files, as numbers or as `u+x,go=r`; whether a file may be run is all that matters"
        ),
        "cp": _program(files.cp, "one file to another, or into a directory"),
        "cut": _program(fields.cut, "fields or characters of lines; `-d -f -c -s`"),
        "date": _program(system.date, "`+%s` alone; a simulated machine was started at the beginning of 2026"),
        "dd": _program(streams.dd, "`if= of= bs= count= status=none`; a block is memory, so `bs=200M` needs as much"),
        "dirname": _program(fields.dirname, "a path without its last part"),
        "echo": _program(system.echo, "its arguments; `-n -e`"),
        "env": _program(system.env, "the environment, or a program in a changed one; `-i NAME=VALUE`"),
        "false": _program(system.false, "1"),
        "grep": _program(streams.grep, "lines that match; `-q -v -c -i -n -o -x -F -E -e -m`"),
        "head": _program(streams.head, "the first lines or bytes; `-n -c`"),
        "hostname": _program(system.hostname, "the sandbox's name"),
        "id": _program(system.identity, "who runs this; `-u -g -G -n`"),
        "kill": _program(system.kill, "a signal to processes by number, or to all (`-1`)"),
        "killall": _program(system.killall, "a signal to processes by name"),
        "ls": _program(files.ls, "names, one a line; `-a -d -1`"),
        "mkdir": _program(files.mkdir, "directories; `-p`"),
        "mv": _program(files.mv, "one file to another, or into a directory"),
        "nohup": _program(system.nohup, "a program that ignores SIGHUP"),
        "nproc": _program(system.nproc, "1: a simulated machine has one processor"),
        "printenv": _program(system.printenv, "variables of the environment"),
        "printf": _program(system.printf, "formatted arguments"),
        "ps": _program(
            system.ps, "the container's processes; `-o` with pid, ppid, user, stat, args, comm, rss, vsz, tty"
        ),
        "pwd": _program(system.pwd, "the working directory"),
        "rm": _program(files.rm, "files; `-f -r`"),
        "rmdir": _program(files.rmdir, "empty directories"),
        "seq": _program(streams.seq, "whole numbers; `-w -s`"),
        "setsid": _program(system.setsid, "a program in a session of its own, out of reach of its terminal's signals"),
        "sh": ProgramRow(sh, "the shell, see below"),
        "sleep": _program(system.sleep, "waits; `0.5`, `2m`, `infinity`"),
        "sort": _program(streams.sort, "lines in order; `-n -r -u`"),
        "stty": _program(
            system.stty, "`size`, `echo`, `-echo`, `raw`, `-raw`, `icanon`, `-icanon`, `sane`, `rows N`, `cols N`"
        ),
        "tail": _program(
            streams.tail,
            "the last lines or bytes; `-n -c`, also with `+`. It holds what it may print: `tail /dev/zero` eats all memory",
        ),
        "tee": _program(streams.tee, "stdin to stdout and to files; `-a`"),
        "test": _program(system.condition, "one expression over strings, numbers, files and terminals; `! -a -o ( )`"),
        "timeout": _program(system.timeout, "a program that gets TERM when its time is over; `-s`"),
        "touch": _program(files.touch, "files, empty when they are new; `-c`"),
        "tr": _program(streams.tr, "replaces, deletes or squeezes bytes; `-d -s -c`, ranges and classes"),
        "true": _program(system.true, "0"),
        "tty": _program(system.tty, "the terminal's name, or `not a tty`"),
        "uname": _program(system.uname, "`-a -s -n -r -v -m`"),
        "uniq": _program(fields.uniq, "lines that differ from the one before; `-c -d -u`"),
        "usleep": _program(system.usleep, "waits for microseconds"),
        "wc": _program(streams.wc, "lines, words, bytes; `-l -w -c -m`"),
        "which": _program(system.which, "where programs are along PATH"),
        "whoami": _program(system.whoami, "the user's name"),
        "yes": _program(streams.yes, "the same line for ever"),
    }
)
