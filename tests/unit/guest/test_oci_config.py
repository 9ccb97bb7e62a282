"""What a runtime's `config.json` has of what was asked for."""

from __future__ import annotations

import pytest

from actors.guest.engines.oci_config import bundle_config


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({"cpu": {"quota": -1}}, {"cpu": {}}),
        ({"cpu": {"quota": -1, "period": 50_000}}, {"cpu": {"period": 50_000}}),
        ({"cpu": {"quota": 20_000}, "pids": {"limit": 5}}, {"cpu": {"quota": 20_000}, "pids": {"limit": 5}}),
        ({"pids": {"limit": -1}, "memory": {"limit": -1}}, {"memory": {"limit": -1}}),
    ],
)
def test_no_limit_is_what_a_new_group_has(asked: dict[str, object], given: dict[str, object]) -> None:
    made = bundle_config({"linux": {"resources": asked}}, {}, rootfs="rootfs", group="/a")
    assert made["linux"]["resources"] == given


def test_without_resources_there_are_none() -> None:
    assert "resources" not in bundle_config({}, {}, rootfs="rootfs", group="/a")["linux"]


def test_no_annotation_gets_to_a_runtime() -> None:
    """Whatever it is called: each runtime has names of its own that it obeys."""
    asked = {"run.oci.pidfd_receiver": "/run/socket", "org.example.note": "x"}
    made = bundle_config({"annotations": asked}, {}, rootfs="rootfs", group="/a")
    assert not [word for word in (*asked, "/run/socket") if word in str(made)]
