"""The hyperstart agent's configuration: virtcontainers' HyperConfig, and where a guest finds its containers' roots.

Decoding is in `actors.agents.settings`.
"""

from __future__ import annotations

import msgspec

from actors.errors import InvalidArgument
from transports.address import Address, parse_dialled_address, streams_address
from transports.errors import AddressError

__all__ = ["HyperConfig"]


class HyperConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """All fields are optional: without them our own guest is started, with its sockets in the sandbox's run directory."""

    # control channel of a running guest: the unix socket of a VM's port, or any agent address
    sock_ctl_name: str = ""
    # the same for its stream channel; derived for .../hyper.sock, and port 2719 for 2718
    sock_tty_name: str = ""
    # the guest's directory below which every root is; /tmp/hyper/shared in a real guest
    share_dir: str = "/"
    # its mount tag; empty: mounted already
    share_tag: str = ""

    def addresses(self) -> tuple[Address, Address] | None:
        """Of the control and the stream channel; None: start our own guest.

        Raises: InvalidArgument, naming the key.
        """
        if not self.share_dir.startswith("/"):
            raise InvalidArgument(f"ShareDir {self.share_dir!r}: expected an absolute path", field="ShareDir")
        if not self.sock_ctl_name:
            if self.sock_tty_name:
                raise InvalidArgument("SockTtyName without SockCtlName: name both channels", field="SockCtlName")
            return None
        control = _address("SockCtlName", self.sock_ctl_name)
        if self.sock_tty_name:
            return control, _address("SockTtyName", self.sock_tty_name)
        try:
            return control, streams_address(control)
        except AddressError as error:
            raise InvalidArgument(f"SockTtyName is missing: {error}", field="SockTtyName") from None


def _address(key: str, text: str) -> Address:
    try:
        return parse_dialled_address(text)
    except AddressError as error:
        raise InvalidArgument(f"{key}: {error}", field=key) from None
