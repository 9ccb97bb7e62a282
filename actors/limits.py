"""Every bound of katrio in one frozen value, each with its reason.

For sizes, counts and times that protect a process from its peers. Not for tuning by environment
variables: a caller who needs other bounds passes another `Limits`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from actors.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "DEFAULT_LIMITS",
    "LARGEST_ID",
    "LARGEST_SIGNAL",
    "MOST_GROUPS",
    "MOST_SLOW",
    "SIMULATED_LIMITS",
    "Limits",
    "guest_limits",
    "guest_words",
    "slow_limits",
]

KIB = 1024
MIB = 1024 * KIB
# of a user or group: (uid_t)-1 is the kernel's word for "leave it as it is", and whoever asked for it would stay root
LARGEST_ID = 2**32 - 2
# Linux's NGROUPS_MAX
MOST_GROUPS = 65_536
# Linux's SIGRTMAX
LARGEST_SIGNAL = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    # ids become path components, cgroup names and kata ids (which want at least 2 characters)
    id_length: int = 64
    # those that runtimes of others give a guest: containerd takes 76 characters
    foreign_id_length: int = 128
    # one frame of ttRPC, its header not counted: the protocol's own bound
    frame_bytes: int = 4 * MIB
    # one message of a mailbox: larger ones delay all that stand behind them in the same pipe
    message_bytes: int = 64 * KIB
    # one chunk of a stream on its way through a mailbox; leaves room for the envelope
    chunk_bytes: int = 60 * KIB
    # messages one actor holds before its askers wait
    inbox_messages: int = 256
    # answers kept per client, so that asking again by id never runs a verb twice
    finished_answers: int = 1024
    # and their bytes, per client
    finished_answer_bytes: int = 1 * MIB
    # asks of one client that are not answered yet; a Python client waits for its turn, another is refused
    asks_in_flight: int = 256
    # answers that wait for a client that does not read; then its link is closed
    backlog_bytes: int = 4 * MIB
    # what all clients of one server make it hold: asks without an answer, answers and events that wait, answers kept. Once
    # it is reached, whoever holds more than an equal part gets no more
    server_bytes: int = 64 * MIB
    # one ask in flight, its arguments not counted: a task, its frames and its place in the tables
    ask_bytes: int = 8 * KIB
    # a link whose client has not said who it is by then is closed
    hello_seconds: float = 10.0
    # clients without a link that are still remembered, so that they may ask again by id
    departed_clients: int = 64
    # an answer that says "busy" or "expired" is worth waiting for beyond the budget it is about
    answer_grace_seconds: float = 0.25
    # events of one subscription that wait for a reader that does not keep up; over it the oldest are left out
    event_backlog_bytes: int = 64 * KIB
    # bytes of a stream on their way to one reader; half of it left a reader in another process idle between credits
    stream_window_bytes: int = 512 * KIB
    # and what a reader in another language may ask for; more would only move the wait into our memory
    largest_window_bytes: int = 1 * MIB
    # what a process wrote and nobody read, per stream: a process never blocks on nobody
    unread_output_bytes: int = 1 * MIB
    # and how fast it may write on when that is full: each byte costs the host time that others want
    lost_output_bytes_per_second: int = 32 * MIB
    # what ended processes of one guest left unread, all together: their bytes lie in memory, and the oldest make room
    leftover_bytes: int = 64 * MIB
    # what one collect keeps of each output: more than a test compares, and it is held in memory while the process runs
    collected_bytes: int = 16 * MIB
    # one read from the agent; its reply must fit into one frame, and larger buffers no longer fit into caches
    read_bytes: int = 512 * KIB
    # one reply of an agent that carries values: they grow when decoded, and no answer of ours could carry more
    reply_bytes: int = 256 * KIB
    # messages in one list of a call or an answer: the longest real ones are a filter's system calls, some 400
    message_items: int = 16_384
    # one name or version that an agent tells: a kernel's file name is no longer
    agent_name_length: int = 255
    # names in one list that an agent tells: its handlers, its features, its network devices
    agent_names: int = 256
    # default budget of an ask that names none; the same as Kata's own client (agent-semantics: 60 s)
    ask_seconds: float = 60.0
    # one RPC that changes state runs to this bound even when its caller has given up
    mutate_seconds: float = 60.0
    # polite signal to SIGKILL; virtcontainers waits 10 s
    stop_grace_seconds: float = 10.0
    # the same when a sandbox is torn down on a cancel or ^C: somebody is waiting at a terminal
    cancel_grace_seconds: float = 1.0
    # output after an exit when a grandchild still holds the pipe; the Rust agent's own window is 0.5 s
    drain_grace_seconds: float = 1.0
    # an end that an agent tells with the output's alone is asked for when one output has ended and the other goes on for so long
    poll_likely_seconds: float = 1.0
    # and when both go on; no round number, as programs sleep for those and end then
    poll_first_seconds: float = 3.3
    # pauses double up to this where asking may cost the last output, once in ten thousand
    poll_longest_seconds: float = 30.0
    # an agent that has not said by then is asked again later
    poll_answer_seconds: float = 5.0
    # between two tries over a link that is down; the link itself dials with its own backoff
    reconnect_pause_seconds: float = 0.05
    # the same when links break as soon as they are made: pauses double up to this
    reconnect_longest_pause_seconds: float = 1.0
    # a link that can't be brought back within this is given up: its calls answer agent_unreachable
    reconnect_seconds: float = 5.0
    # between two asks for OOM kills, when the agent answers with a failure
    oom_retry_seconds: float = 1.0
    # a guest that tells of OOM kills without end is not listened to without end: after so many of them a pause
    oom_burst: int = 16
    oom_pause_seconds: float = 0.2
    # files copied into one sandbox's guest, all together: they lie in memory
    copied_bytes: int = 64 * MIB
    # between two rounds of asking a guest whether it is well; two small calls, nobody notices them
    health_period_seconds: float = 10.0
    # what is not answered by then is missed; Kata's users lost pods to 5 s under load (runtime #2879), its client came to 30 s
    health_answer_seconds: float = 15.0
    # so many misses among so many rounds in a row and the guest is given up: 45 s without any answer, at the least
    health_misses: int = 3
    health_window: int = 5
    # a deadline that we find passed by more than this was slept through by this host, not missed by its guest
    health_late_seconds: float = 1.0
    # random bytes in one reseed: more than the kernel's pool holds are of no use
    random_bytes: int = 512
    # processors one online_cpu_mem may ask for: the kernel's own bound on x86
    processors: int = 8192
    # a guest that has not answered its first check by then is given up; Kata's dial timeout is 30 s
    guest_start_seconds: float = 30.0
    # the stop order under a cancel: containers, destroy, connection
    shutdown_seconds: float = 20.0
    # an image, unpacked: larger ones are rather an attack on the disk than a test's root
    image_bytes: int = 8 * 1024 * MIB
    # its files and directories over all layers; Debian with a desktop has 300,000
    image_entries: int = 500_000
    # one root that a guest copies since the kernel lays no overlay over it: the copy lies in the guest's memory, outside of its
    # container's own; ten times a Debian
    guest_copy_bytes: int = 1024 * MIB
    # Docker's own bound is 127
    image_layers: int = 128
    # all images of one store, those being unpacked included, 4 KiB for each entry beside its bytes
    image_store_bytes: int = 64 * 1024 * MIB
    # one manifest, index or configuration
    image_document_bytes: int = 4 * MIB
    # names and links of one image, in characters: held in memory while it is unpacked; 300,000 real ones have 15 MiB
    image_name_bytes: int = 64 * MIB
    # what stands before one member of a tar and carries its names or attributes: held in memory
    image_header_bytes: int = 1 * MIB
    # containers of one sandbox, processes of one container
    containers: int = 512
    processes: int = 1024

    def __post_init__(self) -> None:
        """Raises: InvalidArgument, for what is no size, count or time."""
        for field in fields(self):
            value = getattr(self, field.name)
            whole = isinstance(field.default, int)
            kind = "a whole number from 0 on" if whole else "seconds from 0 on"
            # a bool is an int to Python, and no size
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not value >= 0:
                raise InvalidArgument(f"limit {field.name} is {value!r:.60}: expected {kind}", field=field.name)


DEFAULT_LIMITS = Limits()
# a simulated guest can't hang unseen, and asking it for ever would hide that nothing can happen any more
SIMULATED_LIMITS = replace(DEFAULT_LIMITS, health_period_seconds=math.inf)

# emulated in software a guest is 10 to 50 times as slow
MOST_SLOW = 1000.0
# times that a guest, or its agent, is given
_OF_GUESTS = (
    *("answer_grace_seconds", "ask_seconds", "mutate_seconds", "stop_grace_seconds", "cancel_grace_seconds"),
    *(
        "drain_grace_seconds",
        "poll_likely_seconds",
        "poll_first_seconds",
        "poll_longest_seconds",
        "poll_answer_seconds",
    ),
    *("reconnect_seconds", "health_period_seconds", "health_answer_seconds", "guest_start_seconds", "shutdown_seconds"),
)


def slow_limits(limits: Limits, factor: float) -> Limits:
    """The same, for guests that take `factor` times as long. Raises: InvalidArgument."""
    if not 1 <= factor <= MOST_SLOW:
        raise InvalidArgument(f"a guest that is {factor:g} times as slow: expected 1 to {MOST_SLOW:g}", field="slow")
    changed: dict[str, Any] = {name: getattr(limits, name) * factor for name in _OF_GUESTS}
    return replace(limits, **changed)


# what a guest looks at, and how far each may be set: a guest is another process, told by whoever starts it
_GUEST: Mapping[str, tuple[float, float]] = {
    # a Kata id has 2 characters, a file's name 255
    "id_length": (2, 255),
    "containers": (1, 100_000),
    "processes": (1, 100_000),
    # these leave in one reply, and a frame carries 4 MiB with what stands around them
    "read_bytes": (1, 3 * MIB),
    "chunk_bytes": (1, 3 * MIB),
    # held in memory for each process, or for all of a sandbox
    "unread_output_bytes": (1, 1024 * MIB),
    "leftover_bytes": (1, 1024 * 1024 * MIB),
    "copied_bytes": (1, 1024 * 1024 * MIB),
    "guest_copy_bytes": (1, 1024 * 1024 * MIB),
    "image_entries": (1, 100_000_000),
    "random_bytes": (1, 64 * KIB),
    # longer than a day nobody waits for a runtime
    "mutate_seconds": (0.001, 86_400),
}


def guest_words(limits: Limits) -> list[str]:
    """What a guest has to be told of them, each as `name=value`: nothing of those that are as by default.

    Raises:
        InvalidArgument: one of them is nothing that a guest could keep to.
    """
    given = [(name, getattr(limits, name), getattr(DEFAULT_LIMITS, name)) for name in _GUEST]
    words = [f"{name}={value}" for name, value, default in given if value != default]
    guest_limits(words)
    return words


def guest_limits(words: Iterable[str]) -> Limits:
    """The limits that such words tell, all others by default. Raises: InvalidArgument."""
    # by names that were looked up, and made of the fields' own types
    found: dict[str, Any] = {}
    for word in words:
        name, _, text = word.partition("=")
        if name not in _GUEST:
            raise InvalidArgument(f"limit {word[:80]!r}: expected NAME=NUMBER of {', '.join(_GUEST)}", field=name[:80])
        least, most = _GUEST[name]
        try:
            value: float = int(text) if isinstance(getattr(DEFAULT_LIMITS, name), int) else float(text)
        except ValueError:
            raise InvalidArgument(f"limit {name} is {text[:40]!r}: expected a number", field=name) from None
        if not least <= value <= most:
            raise InvalidArgument(f"limit {name} is {value:g}: expected {least:g} to {most:g}", field=name)
        found[name] = value
    return replace(DEFAULT_LIMITS, **found)
