"""What an OCI runtime's words mean: one table from a failed call's message to whose fault it was, and of which field.

For the OCI engine. A client whose mount has no source hears so by its own field's name, and not what runc's init
or crun said when it came to it. What no row knows stays the agent's own error, with the runtime's text. The messages
are those of runc 1.1 and crun 1.8; the reason at their end is the C library's, or Go's, which differs by its first letter.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from actors.errors import InvalidArgument, InvalidTransition, KatrioError, PermissionDenied
from actors.guest.engines.oci_config import is_bind

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.guest.engines.oci_config import Document
    from actors.guest.engines.runtime import RuntimeFailed

__all__ = ["ROWS", "Row", "raise_as_told"]

_REASON = r"(?P<reason>[^:]+)\Z"
_RUNC_MOUNT = r'error mounting "(?P<source>.*?)" to rootfs at "(?P<destination>.*?)": '
_NO_SUCH_TYPE, _REFUSED = "no such device", "invalid argument"


class _FailedCall(NamedTuple):
    """One failed call: `words` are the groups that its row's pattern found, `config` the document it was for."""

    container: str
    config: Document
    words: dict[str, str]


class Row(NamedTuple):
    """`meaning` gives the error, or None when the words are about something that the client did not ask for."""

    pattern: str
    meaning: Callable[[_FailedCall], KatrioError | None]


def raise_as_told(error: RuntimeFailed, container: str, config: Document) -> NoReturn:
    """Raises: what the first row that fits says, else `error` itself."""
    for row in ROWS:
        found = re.search(row.pattern, error.message, re.DOTALL)
        meaning = found and row.meaning(_FailedCall(container, config, found.groupdict(default="")))
        if meaning:
            raise meaning from error
    raise error


# mounts


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _asked_mount(told: _FailedCall, *, on_the_way: bool) -> Document | None:
    """Which of the document's mounts the words are about: by its destination (or a directory on the way there), else by its
    source, which alone can be several's."""
    mounts: list[Document] = told.config.get("mounts") or []
    source, destination = told.words.get("source", ""), _parts(told.words.get("destination", ""))
    if not destination:
        return next((found for found in mounts if found.get("source") == source), None)
    every = [(found, _parts(found["destination"])) for found in mounts]
    exact = [found for found, parts in every if parts == destination]
    above = [found for found, parts in every if on_the_way and parts[: len(destination)] == destination]
    return next(iter(exact + above), None)


def _mount(what: str) -> Callable[[_FailedCall], KatrioError | None]:
    """`what` is the end that is to blame, "" when the call that failed had both."""

    def meaning(told: _FailedCall) -> KatrioError | None:
        mount = _asked_mount(told, on_the_way=what == "destination")
        if mount is None:
            return None
        reason = told.words.get("reason", "").lower() or "its type is unknown"
        if not what and not is_bind(mount):
            if reason == _NO_SUCH_TYPE:
                reason = (
                    f"the kernel has no file system {mount.get('type', '')!r} (a bind needs the option bind or rbind)"
                )
            elif reason == _REFUSED:
                reason = f"the kernel refuses its options {','.join(mount.get('options') or [])!r}"
        return InvalidArgument(
            f"mount of {mount.get('source', '')!r} on {mount['destination']!r}: {what and what + ': '}{reason}",
            field="mounts",
        )

    return meaning


# the rest


def _no_users(told: _FailedCall) -> KatrioError:
    return InvalidTransition(
        f"container {told.container!r}: its own /etc/passwd or /etc/group can't be read ({told.words['reason']}), "
        "and no user be looked up; remove the container",
        state="no users",
        verb="exec",
    )


def _refused(kind: type[KatrioError], field: str) -> Callable[[_FailedCall], KatrioError]:
    def meaning(told: _FailedCall) -> KatrioError:
        return kind(f"{field}: {told.words['reason'].lower()}", field=field)

    return meaning


def _path_of(field: str) -> Callable[[_FailedCall], KatrioError | None]:
    """Of a list of paths, whose one was told in the words."""

    def meaning(told: _FailedCall) -> KatrioError | None:
        wanted = _parts(told.words["path"])
        paths: list[str] = told.config.get("linux", {}).get(field) or []
        if wanted not in [_parts(path) for path in paths]:
            return None
        return InvalidArgument(
            f"{field} {told.words['path']!r}: {told.words['reason'].lower()}", field=f"linux.{field}"
        )

    return meaning


def _device(told: _FailedCall) -> KatrioError | None:
    return InvalidArgument(f"linux.devices: {told.words['reason'].lower()}", field="linux.devices")


# first the narrow ones: a row's place matters within one runtime's words alone
ROWS = (
    # runc's mounts
    Row(_RUNC_MOUNT + r"stat .*: " + _REASON, _mount("source")),
    Row(_RUNC_MOUNT + r"(?:mkdir|mkdirat|open|openat|open o_path procfd|create mount destination|lstat)\b.*: " + _REASON, _mount("destination")),
    Row(_RUNC_MOUNT + r".*(?P<reason>cannot be mounted because it is .*)\Z", _mount("destination")),
    Row(_RUNC_MOUNT + r"(?:.*: )?" + _REASON, _mount("")),
    # crun's
    Row(r"error stat'ing file `(?P<source>.*)`: " + _REASON, _mount("source")),
    Row(r"mount `(?P<source>.*)` to `(?P<destination>.*)`: " + _REASON, _mount("")),
    Row(r"invalid mount type for `(?P<destination>.*)`\Z", _mount("")),
    Row(r"(?:mkdir|creat|open|openat2?) `(?P<destination>.*)`: " + _REASON, _mount("destination")),
    # users: runc looks them up in the container's files, whatever is asked
    Row(r"unable to setup user: (?:unable to find \w+ .*?: )?(?P<reason>.*)\Z", _no_users),
    # limits and rights
    Row(r"error setting rlimit type \d+: " + _REASON, _refused(InvalidArgument, "process.rlimits")),
    Row(r"setrlimit `\w+`: " + _REASON, _refused(InvalidArgument, "process.rlimits")),
    Row(r"write to /proc/self/oom_score_adj: " + _REASON, _refused(PermissionDenied, "process.oomScoreAdj")),
    # the rest of `linux`
    Row(r"can't mask path (?P<path>.*?): .*: " + _REASON, _path_of("maskedPaths")),
    Row(r"open `(?P<path>.*)`: " + _REASON, _path_of("maskedPaths")),
    Row(r"open `(?P<path>.*)`: " + _REASON, _path_of("readonlyPaths")),
    Row(r"can't make \"(?P<path>.*?)\" read-only: (?:.*: )?" + _REASON, _path_of("readonlyPaths")),
    Row(r"error creating device nodes: (?:.*: )?" + _REASON, _device),
    Row(r"mknod `.*`: " + _REASON, _device),
)  # fmt: skip
