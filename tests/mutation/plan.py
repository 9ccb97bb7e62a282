"""What is mutated, and which tests are asked about it: the quick ones first, and the real ones for what those let pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PACKAGES", "Package"]


class Package(NamedTuple):
    """`sources`: files and folders. `stages`: arguments of pytest, asked one after the other until a test fails.

    The tests of the last have processes of their own, those of the others run in pytest's.
    """

    name: str
    sources: Sequence[str]
    stages: Sequence[Sequence[str]]


_MAIL = ("tests/integration/test_requests_between_processes.py", "tests/integration/test_hostile_requests.py")

PACKAGES: Sequence[Package] = (
    Package(
        "mailbox",
        ("actors/mailbox",),
        (
            ("tests/unit/mailbox",),
            ("tests/unit/actors", "tests/unit/transports/test_shared_bound.py"),
            (*_MAIL, "tests/integration/test_lost_replies.py", "tests/integration/test_served_systems.py"),
        ),
    ),
    Package(
        "actors",
        (
            "actors/actor.py", "actors/sandbox", "actors/container", "actors/system/actor.py", "actors/cancellable.py",
            "actors/turns.py", "actors/events.py", "actors/lifecycle",
        ),
        (
            ("tests/unit/actors", "tests/unit/lifecycle"),
            ("tests/unit/simulation", "tests/unit/scenario"),
            ("tests/integration/test_system.py", "tests/integration/test_edges.py", "tests/integration/test_health.py"),
        ),
    ),
    Package(
        "nng",
        ("transports/nng", "transports/portions.py", "transports/strays.py"),
        (
            ("tests/unit/transports", "-k", "nng or portions or strays"),
            ("tests/conformance/test_endpoints.py", "tests/conformance/test_nng_links.py"),
            (*_MAIL, "tests/unit/mailbox", "tests/integration/test_served_systems.py"),
        ),
    ),
    Package(
        "ttRPC",
        ("transports/ttrpc", "transports/calls"),
        (
            ("tests/unit/transports", "-k", "ttrpc or calls or tiny"),
            ("tests/unit/transports", "-k", "grpc"),
            ("tests/unit/agents", "tests/conformance/test_agents.py"),
            ("tests/integration/test_foreign_clients.py", "tests/integration/test_hostile_guest.py"),
        ),
    ),
    Package(
        "guest",
        ("actors/guest/executor.py", "actors/guest/model.py", "actors/guest/process_io.py", "actors/guest/services"),
        (
            ("tests/unit/guest", "tests/unit/agents/test_hyperstart.py", "tests/unit/agents/test_kata_client.py"),
            ("tests/unit/conformance/test_suite.py", "tests/unit/agents", "tests/unit/simulation"),
            ("tests/integration/test_rpcs.py", "tests/integration/test_system.py", "tests/integration/test_edges.py"),
        ),
    ),
)  # fmt: skip
