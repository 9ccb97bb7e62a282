"""The kata agent's configuration: the agent's part of virtcontainers' KataAgentConfig, and its dialect.

Settings of a VM's kernel are refused with the reason, as no VM is booted here. Decoding is in
`actors.agents.settings`.
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
    """All fields are optional: without them our own guest is started, and each actor keeps its link."""

    # False: a link is closed when no call is in progress, and redialled for the next one
    long_live_conn: bool = msgspec.field(name="LongLiveConn", default=True)
    # whether the address is a vsock or hybrid vsock one; None accepts either
    use_vsock: bool | None = msgspec.field(name="UseVSock", default=None)
    # "name parameter ..." of each kernel module that the guest should load for a sandbox
    kernel_modules: tuple[str, ...] = msgspec.field(name="KernelModules", default=())
    # seconds within which a guest must answer; 0: the limits' default (30)
    dial_timeout: int = msgspec.field(name="DialTimeout", default=0)
    dialect: Dialect = msgspec.field(name="Dialect", default=Dialect.TTRPC)
    # address of an agent that already runs
    address: str = msgspec.field(name="Address", default="")

    def agent_address(self) -> Address | None:
        """None: start our own guest. Raises: InvalidArgument, naming the key."""
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
