"""Maps an OCI runtime's error message to whose fault it was, and of which field: one table.

For the OCI engine. A client whose mount has no source gets an error on its own field, not the text of runc's init
or crun. A message that no row matches stays an AgentError with the runtime's text. The messages
are those of runc 1.1 and crun 1.8; the trailing reason is libc's or Go's, which differ in the case of the first letter.
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
    """One failed call: `words` are the groups matched by its row's pattern, `config` the document it was for."""

    container: str
    config: Document
    words: dict[str, str]


class Row(NamedTuple):
    """`meaning` returns the error, or None if the message is about something that the client did not ask for."""

    pattern: str
    meaning: Callable[[_FailedCall], KatrioError | None]


def raise_as_told(error: RuntimeFailed, container: str, config: Document) -> NoReturn:
    """Raises: the error of the first matching row, else `error` itself."""
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
    """Which of the document's mounts the message is about: by destination (or a directory on its way), else by source,
    which several mounts may share."""
    mounts: list[Document] = told.config.get("mounts") or []
    source, destination = told.words.get("source", ""), _parts(told.words.get("destination", ""))
    if not destination:
        return next((found for found in mounts if found.get("source") == source), None)
    every = [(found, _parts(found["destination"])) for found in mounts]
    exact = [found for found, parts in every if parts == destination]
    above = [found for found, parts in every if on_the_way and parts[: len(destination)] == destination]
    return next(iter(exact + above), None)


def _mount(what: str) -> Callable[[_FailedCall], KatrioError | None]:
    """`what` is the end at fault, "" if the failed call involved both."""

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


# everything else


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
    """For a list of paths, one of which the message names."""

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


# specific rows first: order matters only among one runtime's messages
ROWS = (
    # mounts, runc
    Row(_RUNC_MOUNT + r"stat .*: " + _REASON, _mount("source")),
    Row(_RUNC_MOUNT + r"(?:mkdir|mkdirat|open|openat|open o_path procfd|create mount destination|lstat)\b.*: " + _REASON, _mount("destination")),
    Row(_RUNC_MOUNT + r".*(?P<reason>cannot be mounted because it is .*)\Z", _mount("destination")),
    Row(_RUNC_MOUNT + r"(?:.*: )?" + _REASON, _mount("")),
    # mounts, crun
    Row(r"error stat'ing file `(?P<source>.*)`: " + _REASON, _mount("source")),
    Row(r"mount `(?P<source>.*)` to `(?P<destination>.*)`: " + _REASON, _mount("")),
    Row(r"invalid mount type for `(?P<destination>.*)`\Z", _mount("")),
    Row(r"(?:mkdir|creat|open|openat2?) `(?P<destination>.*)`: " + _REASON, _mount("destination")),
    # users: runc looks them up in the container's files even for numeric ids
    Row(r"unable to setup user: (?:unable to find \w+ .*?: )?(?P<reason>.*)\Z", _no_users),
    # rlimits and privileges
    Row(r"error setting rlimit type \d+: " + _REASON, _refused(InvalidArgument, "process.rlimits")),
    Row(r"setrlimit `\w+`: " + _REASON, _refused(InvalidArgument, "process.rlimits")),
    Row(r"write to /proc/self/oom_score_adj: " + _REASON, _refused(PermissionDenied, "process.oomScoreAdj")),
    # other fields of `linux`
    Row(r"can't mask path (?P<path>.*?): .*: " + _REASON, _path_of("maskedPaths")),
    Row(r"open `(?P<path>.*)`: " + _REASON, _path_of("maskedPaths")),
    Row(r"open `(?P<path>.*)`: " + _REASON, _path_of("readonlyPaths")),
    Row(r"can't make \"(?P<path>.*?)\" read-only: (?:.*: )?" + _REASON, _path_of("readonlyPaths")),
    Row(r"error creating device nodes: (?:.*: )?" + _REASON, _device),
    Row(r"mknod `.*`: " + _REASON, _device),
)  # fmt: skip
