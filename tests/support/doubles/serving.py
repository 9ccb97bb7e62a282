"""The guest's main of a double, in the process that its launcher has forked; its end is that process's."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

import msgspec

import actors.guest.serve
from actors.guest.serve import prepare
from tests.support.doubles.opening import DOUBLES
from tests.support.doubles.power import Options, Power
from tests.support.planted.composing import compose_kit

if TYPE_CHECKING:
    from actors.limits import Limits
    from actors.node.protocols import GuestProtocol
    from actors.node.rundir import RunDirectory

__all__ = ["Double", "prepare", "serve"]

# as a signal's: no orderly end
KILLED = 9


class Double(msgspec.Struct, frozen=True):
    """What the launcher is told."""

    name: str
    options: Options


def serve(
    directory: RunDirectory, engine: str, protocol: GuestProtocol, limits: Limits, *, namespaces: bool, token: str
) -> int:
    """See `actors.guest.serve.serve`."""
    told = msgspec.json.decode(sys.argv[1], type=Double)
    power = Power()

    def cut() -> None:
        print(f"the machine ends: {power.reason}", file=sys.stderr, flush=True)
        os._exit(KILLED)

    power.cut = cut
    kit = DOUBLES[told.name].make(power, told.options)
    return actors.guest.serve.serve(
        directory, engine, protocol, limits, namespaces=namespaces, token=token, compose=partial(compose_kit, kit)
    )
