"""What is checked of a container before its runtime is called; `engine_refusals` has what runtimes say themselves."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import pytest

from actors.errors import InvalidArgument, InvalidTransition
from actors.guest.engines.checks import check_container_users, check_image_users
from actors.guest.engines.rootfs import Root
from actors.limits import MIB

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["passwd", "group"])
def test_what_a_runtime_reads_is_a_file_that_ends(tmp_path: Path, name: str) -> None:
    file, root = tmp_path / "etc" / name, Root(str(tmp_path))
    check_image_users(root)
    file.parent.mkdir()
    check_image_users(root)
    for fine in (
        partial(file.write_text, ""),
        partial(os.truncate, file, MIB),
        file.unlink,
        partial(file.symlink_to, "/nowhere"),
        file.unlink,
        partial(file.symlink_to, "/../hosts"),
        partial((tmp_path / "hosts").write_text, "x"),
        file.unlink,
    ):
        fine()
        check_image_users(root)
        check_container_users("c1", root)
    for begin, end in (
        (partial(os.mkfifo, file), file.unlink),
        (file.mkdir, file.rmdir),
        (partial(file.symlink_to, "/pipe"), file.unlink),
        (partial(file.write_bytes, b"x" * (MIB + 1)), file.unlink),
    ):
        if not (tmp_path / "pipe").exists():
            os.mkfifo(tmp_path / "pipe")
        begin()
        with pytest.raises(InvalidArgument) as of_an_image:
            check_image_users(root)
        assert of_an_image.value.details["field"] == "root"
        with pytest.raises(InvalidTransition, match=f"'c1': its own /etc/{name}") as of_a_container:
            check_container_users("c1", root)
        assert of_a_container.value.details == {"state": "no users", "verb": "exec"}
        end()
