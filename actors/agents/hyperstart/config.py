"""The hyperstart agent's configuration: virtcontainers' HyperConfig, and where a guest finds its containers' roots.

For whoever opens a system with that agent. Not for decoding (`actors.agents.settings`).
"""

from __future__ import annotations

import msgspec

from actors.errors import InvalidArgument
from transports.address import Address, parse_dialled_address, streams_address
from transports.errors import AddressError

__all__ = ["HyperConfig"]


class HyperConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """All may be left out: a guest of ours is started then, with its sockets in its sandbox's run directory."""

    # where a guest that runs already has its control channel: the unix socket of a VM's port, or any agent address
    sock_ctl_name: str = ""
    # the same of its stream channel; known by itself beside .../hyper.sock, and port 2719 beside 2718
    sock_tty_name: str = ""
    # the directory of the guest below which every root lies; a real guest's is /tmp/hyper/shared
    share_dir: str = "/"
    # the mount tag by which it finds that; empty: it is there already
    share_tag: str = ""

    def addresses(self) -> tuple[Address, Address] | None:
        """Of the control and the stream channel; None: a guest of ours.

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
