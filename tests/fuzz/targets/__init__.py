"""All targets, by name: whatever takes bytes from a peer stands in a module here, and in this one table."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from tests.fuzz.targets import (
    grpc,
    hybrid,
    hyperstart,
    hyperstart_live,
    kata,
    mailbox,
    recognise,
    tar,
    texts,
    ttrpc,
    ttrpc_live,
    yamux,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.fuzz.target import Target

__all__ = ["TARGETS"]

TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        target.name: target
        for module in (
            ttrpc,
            ttrpc_live,
            grpc,
            hybrid,
            yamux,
            hyperstart,
            hyperstart_live,
            mailbox,
            kata,
            recognise,
            tar,
            texts,
        )
        for target in module.TARGETS
    }
)
