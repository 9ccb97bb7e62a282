"""Namespaced sysctls of a sandbox: network, System V IPC and message queues, domain name.

For the embedded platform, whose guest owns those namespaces, so that its /proc/sys shows them. Sysctls of the whole
machine are refused.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from actors.errors import InvalidArgument, Unsupported
from actors.node.exhaustion import raise_if_exhausted

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["change_sysctls"]

_SETTINGS = Path("/proc/sys")
# as runc has it: https://github.com/opencontainers/runc/blob/main/libcontainer/configs/validate/validator.go
_NAMESPACED = re.compile(
    r"(net|fs\.mqueue)(\.[A-Za-z0-9_-]+)+|kernel\.(domainname|msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)"
)
_MOST, _NAME_LENGTH, _VALUE_LENGTH = 256, 256, 1024


def change_sysctls(wanted: Mapping[str, str]) -> Mapping[str, str]:
    """Set sysctls; returns their previous values. A name may have slashes for dots.

    Raises: InvalidArgument, Unsupported, both for `linux.sysctl`; then all are restored.
    """
    if len(wanted) > _MOST:
        raise InvalidArgument(f"{len(wanted)} sysctls: expected at most {_MOST}", field="linux.sysctl")
    paths = {name: _path(name) for name in wanted}
    before: dict[str, str] = {}
    for name, value in wanted.items():
        try:
            if len(value) > _VALUE_LENGTH:
                raise ValueError(f"expected at most {_VALUE_LENGTH} characters")
            old = paths[name].read_text()
            paths[name].write_text(value)
        except (OSError, ValueError) as error:
            for done, text in before.items():
                with suppress(OSError):
                    paths[done].write_text(text)
            if isinstance(error, OSError):
                raise_if_exhausted(error)
            if isinstance(error, FileNotFoundError):
                raise Unsupported(
                    f"sysctl {name!r}: this kernel has none in a namespace", field="linux.sysctl"
                ) from None
            raise InvalidArgument(
                f"sysctl {name!r} to {value[:80]!r}: the kernel refuses it: {error}", field="linux.sysctl"
            ) from None
        before[name] = old
    return before


def _path(name: str) -> Path:
    dotted = name.replace("/", ".")
    if len(name) > _NAME_LENGTH or not _NAMESPACED.fullmatch(dotted):
        raise Unsupported(
            f"sysctl {name[:80]!r}: it is not of a network or IPC namespace, but of the whole machine; leave it out",
            field="linux.sysctl",
        )
    return _SETTINGS / dotted.replace(".", "/")
