"""The packet filter of a sandbox whose guest made its network namespace, by iptables' own programs.

For the embedded platform. Only ever of the namespace that the guest itself is in. Not for rules: what is given is
iptables-restore's to judge, and it is never run where the namespace is the machine's.
"""

from __future__ import annotations

import os
import shutil

from actors.errors import AgentError, InvalidArgument, Unsupported
from actors.guest.programs import run_program

__all__ = ["PLACES", "read_filter", "replace_filter"]

# what kata's agent waits for another one that holds the lock
_LOCK_SECONDS = 5
_SECONDS = 10.0
# a reply of an agent is bounded to this; a real sandbox has some KiB
_MOST_BYTES = 256 * 1024
# beside PATH: where distributions put them, which not everybody has in it
PLACES = f"{os.defpath}:/usr/sbin:/sbin:/usr/local/sbin"
# what each line of a saved table begins with
_SAVED = ("#", "*", ":", "-", "[", "COMMIT")


async def read_filter(*, ipv6: bool) -> bytes:
    """As iptables-save prints it. Raises: Unsupported without that program, AgentError."""
    program = _program("ip6tables-save" if ipv6 else "iptables-save")
    _, output = await run_program([program], seconds=_SECONDS, most_bytes=_MOST_BYTES, env=_environment())
    # its exit code may be lost to the reaper of strays; its words are not
    wrong = [line for line in output.decode("utf-8", "replace").splitlines() if line and not line.startswith(_SAVED)]
    if wrong:
        raise AgentError(f"{os.path.basename(program)}: {wrong[0][:500]}", status="failed")
    return output


async def replace_filter(data: bytes, *, ipv6: bool) -> bytes:
    """Replace the tables that `data` names, each whole or not at all; what iptables-restore said.

    Raises: InvalidArgument (`data`) with its reason, Unsupported without that program, AgentError.
    """
    program = _program("ip6tables-restore" if ipv6 else "iptables-restore")
    if len(data) > _MOST_BYTES:
        raise InvalidArgument(f"{len(data)} bytes of rules: expected at most {_MOST_BYTES}", field="data")
    argv = [program, "--wait", str(_LOCK_SECONDS)]
    code, output = await run_program(argv, given=data, seconds=_SECONDS, most_bytes=_MOST_BYTES, env=_environment())
    said = output.decode("utf-8", "replace")
    # it says nothing when all is well, and its hints begin with a #
    if code != 0 or any(line and not line.startswith("#") for line in said.splitlines()):
        reason = " ".join(said.split())[:500]
        raise InvalidArgument(f"{os.path.basename(program)} refuses it: {reason}", field="data")
    return output


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{PLACES}")
    if found is None:
        raise Unsupported(f"the packet filter: this guest has no {name}; install iptables on its machine")
    return found


def _environment() -> dict[str, str]:
    # the lock of the old kind would lie in /run, which is the machine's
    return {"XTABLES_LOCKFILE": os.path.abspath("xtables.lock")}
