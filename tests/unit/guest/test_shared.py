"""Files copied into a guest: what they may claim together, and what becomes of those that can't be placed or reached."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from actors.errors import InvalidArgument, PermissionDenied, ResourceExhausted
from actors.guest.embedded import EmbeddedPlatform
from actors.guest.shared import SHARED_DIRECTORY, SharedFiles
from actors.limits import DEFAULT_LIMITS
from actors.schemas.agent import CopyFileRequest

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = 65534


def piece(name: str, data: bytes, size: int, offset: int = 0) -> CopyFileRequest:
    return CopyFileRequest(path=f"{SHARED_DIRECTORY}/{name}", file_size=size, offset=offset, data=data)


@pytest.fixture
def files() -> SharedFiles:
    return SharedFiles(replace(DEFAULT_LIMITS, copied_bytes=1000))


def test_files_begun_side_by_side_claim_all_of_their_size(files: SharedFiles) -> None:
    files.take(piece("one", b"x", 900))
    with pytest.raises(ResourceExhausted, match="this sandbox has 900 of 1000 bytes"):
        files.take(piece("two", b"x", 900))
    files.take(piece("two", b"x", 100))
    # begun anew, its old claim is gone
    files.take(piece("one", b"x", 800))
    files.take(piece("three", b"x", 100))


def test_a_file_does_not_outgrow_its_claim(files: SharedFiles) -> None:
    files.take(piece("one", b"x", 10))
    with pytest.raises(InvalidArgument, match="a file of 5000 bytes, and its first piece said 10"):
        files.take(piece("one", bytes(4000), 5000, 1))
    file = files.take(piece("one", bytes(9), 10, 1))
    assert file is not None
    assert file.data == b"x" + bytes(9)


def test_a_file_that_could_not_be_placed_does_not_count(files: SharedFiles) -> None:
    for _ in range(3):
        file = files.take(piece("one", bytes(900), 900))
        assert file is not None
        # while it is placed it counts
        with pytest.raises(ResourceExhausted), files.placing(file):
            files.take(piece("two", bytes(200), 200))
    file = files.take(piece("two", bytes(1000), 1000))
    assert file is not None
    with files.placing(file):
        pass
    with pytest.raises(ResourceExhausted):
        files.take(piece("three", b"x", 1))


async def test_what_a_guest_may_not_look_at_is_refused_with_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.makedirs("shared/closed")
    os.chmod("shared/closed", 0)
    platform = EmbeddedPlatform(namespaces=False)
    user = os.geteuid()
    if user == 0:
        os.chmod(".", 0o755)
        os.seteuid(NOBODY)
    try:
        with pytest.raises(PermissionDenied, match="volume 'closed/file': the guest may not look there"):
            await platform.volume("closed/file")
        with pytest.raises(PermissionDenied, match="mount of 'closed/file': the guest may not look there"):
            platform.locate("closed/file")
    finally:
        os.seteuid(user)
        os.chmod("shared/closed", 0o700)
