"""One step of each verb as it is written in a file, for the reference.

A test loads every one of them, so that what the reference shows can be run. Not for whole scenarios: `scenarios/` has those.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from actors.scenario.asks import ASK_EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EXAMPLES"]

# `box` is a sandbox; `one` and `two` are containers in it
EXAMPLES: Mapping[str, str] = MappingProxyType(
    {
        **ASK_EXAMPLES,
        "create": "{create: one, expect: {state: ready}}",
        "start": "{start: one, within: 5s}",
        "pause": "{pause: one, expect: {state: paused}}",
        "resume": "{resume: one, expect: {error: invalid_transition}}",
        "stop": "{stop: one, with: INT, grace: 2s, expect: {exit: 130}}",
        "delete": "{delete: one}",
        "exec": '{exec: one, command: "echo hello; exit 3", env: {WHO: me}, as: greeting}',
        "signal": "{signal: one, with: USR1, all: true}",
        "winsize": "{winsize: one, rows: 40, columns: 120}",
        "stdin": '{stdin: one, text: "a line\\n", expect: 7}',
        "close_stdin": "{close_stdin: one}",
        "wait": "{wait: one, expect: {exit: 0, stdout: {contains: hello}}}",
        "stdout": "{stdout: one, expect: {contains: ready}}",
        "stderr": '{stderr: one, expect: ""}',
        "lines": "{lines: one, expect: {at_least: 3}}",
        "bytes": "{bytes: one, expect: 52428800}",
        "sha256": "{sha256: one, save: digest}",
        "state": "{state: one, expect: running}",
        "check": "{check: box, expect: serving}",
        "info": "{info: one, expect: {json: {oom_kills: 0}}}",
        "list_processes": '{list_processes: one, table: true, args: ["-ef"], expect: {contains: sleep}}',
        "update": "{update: one, memory: 128MiB, cpus: 0.5}",
        "copy_file": "{copy_file: box, path: etc/motd, data: hello}",
        "probe": "{probe: {freezer: one}, expect: frozen}",
        "fault": "{fault: {kill_guest: box}}",
        "call": "{call: one, verb: signal, args: {signal: 9}}",
        "sleep": "{sleep: 300ms}",
        "eventually": "{eventually: {stdout: one, expect: {contains: ready}}, within: 5s}",
        "always": "{always: {state: one, expect: running}, during: 1s}",
        "unchanged": "{unchanged: {lines: one}, settle: 100ms, while: [{sleep: 1s}]}",
        "grows": "{grows: {lines: one}, by: 5}",
        "parallel": "{parallel: [{stop: one}, [{pause: two}, {resume: two}]]}",
        "race": "{race: [{pause: one}, {stop: one}], expect: {at_least: 1}}",
        "repeat": "{repeat: 100, round: n, steps: [{pause: one}, {resume: one}]}",
        "for_each": "{for_each: [one, two], as: each, together: true, steps: [{pause: '${each}'}]}",
        "rate": '{rate: 20, during: 2s, steps: [{exec: one, command: "true", as: mine}, {wait: mine}]}',
        "include": "{include: parts/stop.yaml, with: {which: one}}",
    }
)
