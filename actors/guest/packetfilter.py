"""The packet filter of a sandbox in the guest's own network namespace, through the iptables programs.

For the embedded platform. Never run in the machine's namespace. Rules are validated by iptables-restore.
"""

from __future__ import annotations

import os
import shutil

from actors.errors import AgentError, InvalidArgument, Unsupported
from actors.guest.programs import run_program

__all__ = ["PLACES", "read_filter", "replace_filter"]

# kata's agent waits as long for the xtables lock
_LOCK_SECONDS = 5
_SECONDS = 10.0
# an agent's reply is bounded to this; a real sandbox has some KiB
_MOST_BYTES = 256 * 1024
# sbin directories, which may be missing in PATH
PLACES = f"{os.defpath}:/usr/sbin:/sbin:/usr/local/sbin"
# what each line of a saved table starts with
_SAVED = ("#", "*", ":", "-", "[", "COMMIT")


async def read_filter(*, ipv6: bool) -> bytes:
    """The output of iptables-save. Raises: Unsupported without that program, AgentError."""
    program = _program("ip6tables-save" if ipv6 else "iptables-save")
    _, output = await run_program([program], seconds=_SECONDS, most_bytes=_MOST_BYTES, env=_environment())
    # judged by output: the reaper may have taken the exit code
    wrong = [line for line in output.decode("utf-8", "replace").splitlines() if line and not line.startswith(_SAVED)]
    if wrong:
        raise AgentError(f"{os.path.basename(program)}: {wrong[0][:500]}", status="failed")
    return output


async def replace_filter(data: bytes, *, ipv6: bool) -> bytes:
    """Replace the tables that `data` names, each atomically; returns iptables-restore's output.

    Raises: InvalidArgument (`data`) with its reason, Unsupported without that program, AgentError.
    """
    program = _program("ip6tables-restore" if ipv6 else "iptables-restore")
    if len(data) > _MOST_BYTES:
        raise InvalidArgument(f"{len(data)} bytes of rules: expected at most {_MOST_BYTES}", field="data")
    argv = [program, "--wait", str(_LOCK_SECONDS)]
    code, output = await run_program(argv, given=data, seconds=_SECONDS, most_bytes=_MOST_BYTES, env=_environment())
    said = output.decode("utf-8", "replace")
    # it prints nothing on success, and its hints start with #
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
    # the legacy lock file would be in /run, which is the machine's
    return {"XTABLES_LOCKFILE": os.path.abspath("xtables.lock")}
