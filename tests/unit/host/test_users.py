"""Users by name and number, against a container's own passwd."""

from __future__ import annotations

import pytest

from actors.errors import InvalidArgument
from actors.host.users import ResolvedUser, resolve_user

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
