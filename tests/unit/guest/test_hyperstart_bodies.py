"""What hyperstart's bodies ask for, as the guest's engine has it, and what the host is told of an end."""

from __future__ import annotations

import pytest

from actors.errors import InvalidArgument, KatrioError, Unsupported
from actors.guest.services.hyperstart_bodies import oci_process, oci_spec
from actors.guest.services.hyperstart_process import LiveProcess
from actors.limits import DEFAULT_LIMITS
from actors.wire.spec import ExitStatus
from transports.hyperstart.messages import Container, EnvironmentVariable, Process


def a_process(*, user: str = "", group: str = "", workdir: str = "") -> Process:
    return Process(id="one", terminal=False, stdio=1, stderr=2, args=("sh",), user=user, group=group, workdir=workdir)


def a_container(*, rootfs: str = "rootfs", image: str = "one", fstype: str = "") -> Container:
    return Container(id="one", rootfs=rootfs, image=image, fstype=fstype, process=a_process())


@pytest.mark.parametrize(
    ("image", "rootfs", "path"),
    [("one", "rootfs", "/share/one/rootfs"), ("one", "", "/share/one"), ("a..b", "..c/d", "/share/a..b/..c/d")],
)
def test_a_root_lies_in_the_share(image: str, rootfs: str, path: str) -> None:
    spec = oci_spec(a_container(image=image, rootfs=rootfs), "/share")
    assert spec.root is not None
    assert spec.root.path == path


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"rootfs": "../x"}, InvalidArgument, "rootfs"),
        ({"image": ".."}, InvalidArgument, "rootfs"),
        ({"rootfs": "a/../../x"}, InvalidArgument, "rootfs"),
        ({"rootfs": "a\0b"}, InvalidArgument, "rootfs"),
        ({"fstype": "ext4"}, Unsupported, "fstype"),
    ],
)
def test_what_leaves_the_share_or_needs_a_device_is_refused(
    fields: dict[str, str], error: type[KatrioError], field: str
) -> None:
    with pytest.raises(error) as caught:
        oci_spec(a_container(**fields), "/share")
    assert caught.value.details["field"] == field


@pytest.mark.parametrize(
    ("user", "group", "names"),
    [
        ("", "", ""),
        ("nobody", "", "nobody"),
        ("nobody", "staff", "nobody:staff"),
        ("", "staff", "0:staff"),
        ("7", "8", "7:8"),
    ],
)
def test_users_and_groups_are_looked_up_in_the_container(user: str, group: str, names: str) -> None:
    found = oci_process(a_process(user=user, group=group)).user
    # nobody who was named is root, as everywhere
    assert (found.username if found is not None else "") == names


def test_a_process_begins_in_its_directory_which_is_absolute() -> None:
    assert oci_process(a_process()).cwd == "/"
    assert oci_process(a_process(workdir="/srv")).cwd == "/srv"
    with pytest.raises(InvalidArgument) as caught:
        oci_process(a_process(workdir="srv"))
    assert caught.value.details["field"] == "cwd"
    envs = (EnvironmentVariable(env="A", value="b=c"), EnvironmentVariable(env="B", value=""))
    process = Process(id="one", terminal=True, stdio=1, args=("sh",), envs=envs)
    assert oci_process(process).env == ("A=b=c", "B=")
    assert oci_process(process).terminal


def test_death_by_a_signal_that_we_sent_is_told_as_0_and_every_other_end_by_its_code() -> None:
    process = LiveProcess("box", a_process(), name="one", limits=DEFAULT_LIMITS)
    assert [process.told_status(ExitStatus(code)) for code in (0, 3, 137, 143)] == [0, 3, 137, 143]
    for _ in range(2):
        process.told_signal(9)
    assert process.was_sent(9)
    assert not process.was_sent(15)
    assert [process.told_status(ExitStatus(code)) for code in (0, 3, 9, 137, 143)] == [0, 3, 9, 0, 143]
    assert process.key == ("box", "one")
    assert (process.stdio, process.stderr) == (1, 2)
    terminal = LiveProcess(
        "box", Process(id="x", terminal=True, stdio=1, stderr=2, args=()), name="x", limits=DEFAULT_LIMITS
    )
    assert (terminal.stdio, terminal.stderr) == (1, 0), "a terminal has one stream"
