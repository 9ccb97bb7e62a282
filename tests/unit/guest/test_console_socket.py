"""What a runtime sends to its console socket, or fails to."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from actors.guest.engines.runtime import RuntimeFailed
from actors.guest.engines.streams import receive_terminal

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@pytest.fixture
def listener(tmp_path: Path) -> Generator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listening:
        listening.bind(str(tmp_path / "console"))
        listening.listen(1)
        yield listening


@pytest.mark.parametrize("sent", [None, 0, 2], ids=["nobody dialled", "killed before it sent", "too many"])
def test_without_one_terminal_the_runtime_has_failed(listener: socket.socket, sent: int | None) -> None:
    """However it has ended: as with its other failures, it is looked for whom to blame."""
    before = os.listdir("/proc/self/fd")
    if sent is not None:
        with socket.socket(socket.AF_UNIX) as dialled, open(os.devnull, "rb") as file:
            dialled.connect(listener.getsockname())
            if sent:
                socket.send_fds(dialled, [b"/dev/pts/0"], [file.fileno()] * sent)
    with pytest.raises(RuntimeFailed):
        receive_terminal(listener)
    assert os.listdir("/proc/self/fd") == before
