"""What `katrio doctor` says of the image store: what is wrong with it counts only where containers have images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.cli import doctor
from actors.cli.doctor import Verdict, examine_images
from actors.node.facts import read_facts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.mark.parametrize("root", [True, False])
@pytest.mark.parametrize("wrong", ["", "open to others", "below a file"])
def test_a_store_that_can_not_be_used(wrong: str, root: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "cache" / "images"
    if wrong == "open to others":
        store.mkdir(parents=True)
        store.chmod(0o777)
    elif wrong == "below a file":
        (tmp_path / "cache").touch()

    def at(environment: Mapping[str, str], uid: int) -> Path:
        return store

    monkeypatch.setattr(doctor, "default_image_root", at)
    busybox = str(tmp_path / "busybox")
    check = examine_images(read_facts()._replace(root=root, busybox=busybox))
    bad = Verdict.BROKEN if root else Verdict.MISSING
    assert check.verdict is (bad if wrong else Verdict.WORKS), check
    assert str(store) in check.found
    assert ("plain processes" in check.found) is bool(wrong and not root)
