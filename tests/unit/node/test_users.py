"""Users by name and number, against a container's own passwd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as some

from actors.errors import InvalidArgument
from actors.node.users import ResolvedUser, resolve_user, run_as

if TYPE_CHECKING:
    from collections.abc import Callable

PASSWD = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv:/bin/sh\n7:x:0:0::/:/bin/sh\n99999999999:x:0:0::/:/bin/sh\nbroken\nbad:x:no:1::/:/bin/sh\n"
GROUP = "root:x:0:\n8:x:0:\nweb:x:34:\nlogs:x:50:web,root\nshared:x:51:web\nshort:x:52\n"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", ResolvedUser(0, 0, (50,))),
        ("web", ResolvedUser(33, 34, (50, 51))),
        ("33", ResolvedUser(33, 34, (50, 51))),
        ("web:logs", ResolvedUser(33, 50)),
        ("web:short", ResolvedUser(33, 52)),  # a line may end after its number
        ("web:9", ResolvedUser(33, 9)),
        ("1234", ResolvedUser(1234, 0)),
        ("1234:5678", ResolvedUser(1234, 5678)),
        # a number is a number, whatever an image calls its users and groups
        ("7", ResolvedUser(7, 0)),
        ("7:8", ResolvedUser(7, 8)),
        ("web:8", ResolvedUser(33, 8)),
        ("0007", ResolvedUser(7, 0)),
    ],
)
def test_resolves(user: str, expected: ResolvedUser) -> None:
    assert resolve_user(user, PASSWD, GROUP) == expected


@pytest.mark.parametrize("user", ["joe", "web:joe", "bad", "-1", "4294967295", "99999999999", "1.5", "0x10", "²"])
def test_refuses_what_nobody_knows(user: str) -> None:
    with pytest.raises(InvalidArgument) as failure:
        resolve_user(user, PASSWD, GROUP)
    assert failure.value.details["field"] == "user"


def test_without_a_passwd_numbers_still_work() -> None:
    assert resolve_user("12:13", "", "") == ResolvedUser(12, 13)
    assert resolve_user("", "", "") == ResolvedUser(0, 0)


FILES = {"/etc/passwd": PASSWD, "/etc/group": GROUP}


def said(uid: int = 0, gid: int = 0, username: str = "", groups: tuple[int, ...] = ()) -> ResolvedUser:
    user = {"uid": uid, "gid": gid, "username": username, "additionalGids": groups}
    return run_as(user, FILES.__getitem__)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (lambda: said(33), ResolvedUser(33, 0)),
        (lambda: said(33, 5, groups=(7, 7)), ResolvedUser(33, 5, (7, 7))),
        (lambda: said(username="web"), ResolvedUser(33, 34, (50, 51))),
        (lambda: said(username="web", groups=(7,)), ResolvedUser(33, 34, (7,))),
        (lambda: said(gid=5, username="web"), ResolvedUser(33, 5, (50, 51))),
        # the name of that very uid adds nothing to what the numbers say
        (lambda: said(33, username="web"), ResolvedUser(33, 0)),
        (lambda: said(33, 5, "33"), ResolvedUser(33, 5)),
        (lambda: said(username="web::logs,77"), ResolvedUser(33, 34, (50, 77))),
        (lambda: said(username="5:web:logs"), ResolvedUser(5, 34, (50,))),
        (lambda: said(username="5::logs"), ResolvedUser(5, 0, (50,))),
    ],
)
def test_whom_a_request_means(found: Callable[[], ResolvedUser], expected: ResolvedUser) -> None:
    assert found() == expected


@given(
    some.integers(0, 40),
    some.integers(0, 60),
    some.sampled_from(["", "web", "root", "33", "33:50", "joe", "web::logs"]),
)
def test_nobody_is_made_another_than_was_said(uid: int, gid: int, username: str) -> None:
    try:
        found = said(uid, gid, username)
    except InvalidArgument:
        assert username, "numbers alone are always taken"
        return
    # a number that was said is kept, and root is who said 0, or a name whose number it is
    assert not uid or found.uid == uid
    assert not gid or found.gid == gid
    assert found.uid or username in ("", "root")
