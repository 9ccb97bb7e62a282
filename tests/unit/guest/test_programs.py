"""Programs that the guest runs for itself: what they are given, and what is left open when they can't be."""

from __future__ import annotations

import errno
import os
import resource

import pytest

from actors.errors import AgentError
from actors.guest.programs import run_program


def opened() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_a_program_reads_what_it_is_given_and_nothing_stays_open() -> None:
    before = opened()
    assert await run_program(["cat"], given=b"words", seconds=60, most_bytes=100) == (0, b"words")
    with pytest.raises(AgentError, match="no-such-program"):
        await run_program(["no-such-program"], given=b"words", seconds=60, most_bytes=100)
    assert opened() == before


async def test_nothing_stays_open_when_its_input_cannot_be_made() -> None:
    before = opened()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # room for the pipe, none for the input
    pipe = os.pipe()
    for descriptor in pipe:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(pipe) + 1, hard))
    try:
        with pytest.raises(AgentError, match=os.strerror(errno.EMFILE)):
            await run_program(["cat"], given=b"words", seconds=60, most_bytes=100)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert opened() == before
