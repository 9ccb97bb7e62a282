"""The kata agent's configuration: virtcontainers' KataAgentConfig as far as it concerns an agent, and its dialect.

For whoever opens a system with that agent. What configured a VM's kernel is refused with the reason, as no VM is booted
here. Not for decoding (`actors.agents.settings`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.errors import InvalidArgument
from actors.words import Dialect
from transports.address import Address, parse_dialled_address
from transports.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NOT_HERE", "KataAgentConfig"]

_KERNEL = "it is a parameter of a VM's kernel, and no VM is booted here; give it to whoever boots yours"
NOT_HERE: Mapping[str, str] = {
    "Debug": _KERNEL,
    "Trace": _KERNEL,
    "TraceMode": _KERNEL,
    "TraceType": _KERNEL,
    "ContainerPipeSize": _KERNEL,
    "CdhApiTimeout": _KERNEL,
    "LaunchProcessTimeout": _KERNEL,
    "EnableDebugConsole": _KERNEL,
    "Policy": "a policy is set by `katrio call SetPolicy`",
    "VisibleCdiDevices": "no devices are passed into a guest",
}
_VSOCKS = ("vsock", "hvsock")


class KataAgentConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All may be left out: a guest of ours is started then, and each actor keeps its link."""

    # False: a link on which nothing is asked is closed, and dialled again for the next call
    long_live_conn: bool = msgspec.field(name="LongLiveConn", default=True)
    # whether the address is one of vsock (or hybrid vsock); None takes either
    use_vsock: bool | None = msgspec.field(name="UseVSock", default=None)
    # "name parameter ..." of each module that the guest is to load for a sandbox
    kernel_modules: tuple[str, ...] = msgspec.field(name="KernelModules", default=())
    # seconds until a guest must have answered; 0: the limits' own (30)
    dial_timeout: int = msgspec.field(name="DialTimeout", default=0)
    dialect: Dialect = msgspec.field(name="Dialect", default=Dialect.TTRPC)
    # where an agent listens that runs already
    address: str = msgspec.field(name="Address", default="")

    def agent_address(self) -> Address | None:
        """None: a guest of ours. Raises: InvalidArgument, naming the key."""
        if not 0 <= self.dial_timeout <= 3600:
            raise InvalidArgument(f"DialTimeout {self.dial_timeout}: expected 0 to 3600 seconds", field="DialTimeout")
        if any(not module.split() for module in self.kernel_modules):
            raise InvalidArgument(
                "KernelModules: one has no name; expected 'name parameter ...'", field="KernelModules"
            )
        if not self.address:
            if self.use_vsock:
                raise InvalidArgument(
                    "UseVSock: a guest of ours has a unix socket; name your agent's Address, as vsock://3:1024",
                    field="UseVSock",
                )
            return None
        try:
            address = parse_dialled_address(self.address)
        except AddressError as error:
            raise InvalidArgument(f"Address: {error}", field="Address") from None
        if self.use_vsock is not None and self.use_vsock != (address.scheme in _VSOCKS):
            raise InvalidArgument(
                f"UseVSock is {str(self.use_vsock).lower()} and Address {address}: one of them is wrong",
                field="UseVSock",
            )
        return address
