"""Parsing of addresses: one table of schemes, and errors that show the right form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.address import (
    ANY_CID,
    SOCKET_PATH_BYTES,
    Address,
    Kind,
    parse_address,
    parse_agent_address,
    parse_dialled_address,
    parse_mailbox_address,
    streams_address,
)
from transports.agent_sockets import dialer_for
from transports.errors import AddressError
from transports.schemes import transport_for


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:///run/a.sock", Address("unix", "/run/a.sock")),
        ("/run/a.sock", Address("unix", "/run/a.sock")),
        ("unix:/run/a.sock", Address("unix", "/run/a.sock")),
        ("unix:////run/a.sock", Address("unix", "/run/a.sock")),
        ("unix://@name", Address("unix", "@name")),
        ("vsock://3:1024", Address("vsock", "3", 1024)),
        ("vsock://-1:1024", Address("vsock", "-1", 1024)),
        (f"vsock://{ANY_CID}:1", Address("vsock", "-1", 1)),
        ("hvsock:///run/vm.sock:1024", Address("hvsock", "/run/vm.sock", 1024)),
        ("hvsock:///run/a:5:1024", Address("hvsock", "/run/a:5", 1024)),
        ("remote:/run/a.sock", Address("remote", "/run/a.sock")),
        ("remote:///run/a.sock", Address("remote", "/run/a.sock")),
        ("serial:/dev/ttyS1", Address("serial", "/dev/ttyS1")),
        ("serial:///dev/ttyS1", Address("serial", "/dev/ttyS1")),
        ("ipc:///run/a.sock", Address("ipc", "/run/a.sock")),
        ("inproc://box-1", Address("inproc", "box-1")),
    ],
)
def test_a_good_address_is_parsed(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "unix://, vsock://, hvsock://, remote:, serial:, ipc://, inproc://"),
        ("run/a.sock", "known are unix://"),
        ("unix://run/a.sock", "/run/katrio/agent.sock"),
        ("unix://@", "unix://@name"),
        ("unix://@a\0b", "NUL"),
        ("unix:///run/", "directory"),
        ("unix:///run/a\0b", "NUL"),
        ("/run/a\0b", "NUL"),
        ("/run/\ud800", "no file name"),
        ("unix://@\ud800", "no file name"),
        ("vsock:3:1024", "vsock://3:1024"),
        ("vsock://3", "1024 is the kata agent's port, 2718 and 2719 hyperstart's"),
        ("vsock://4294967296:1", "vsock://CID:PORT"),
        ("vsock://-2:1", "vsock://CID:PORT"),
        ("vsock://\u0663:1", "vsock://CID:PORT"),
        ("vsock://3:4294967295", "over 4294967294"),
        ("hvsock:///run/vm.sock", "hvsock:///PATH:PORT"),
        ("hvsock://vm.sock:1024", "not absolute"),
        ("hvsock:///run/vm.sock:", "hvsock:///PATH:PORT"),
        ("remote:run/a.sock", "remote:/run/x/proxy.sock"),
        ("serial:ttyS1", "serial:/dev/ttyS1"),
        ("inproc://", "inproc://name"),
        ("inproc://a\nb", "inproc://name"),
        ("inproc://" + "n" * 101, "inproc://name"),
        ("tcp://1.2.3.4:5", "unix://, vsock://"),
    ],
)
def test_a_bad_address_is_refused_with_the_right_form(text: str, hint: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert hint in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_path_may_have_107_bytes_and_not_108() -> None:
    longest = "/" + "é" * ((SOCKET_PATH_BYTES - 1) // 2)
    assert len(longest.encode()) == SOCKET_PATH_BYTES
    assert parse_address(longest).target == longest
    assert parse_address("unix://@" + "a" * 106).target == "@" + "a" * 106
    for text in (longest + "x", f"remote:{longest}x", f"hvsock://{longest}x:1", "unix://@" + "a" * 107):
        with pytest.raises(AddressError, match="has 108 bytes and Linux allows 107"):
            parse_address(text)


_PATHS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=60)
_PORTS = st.integers(0, 0xFFFF_FFFE)
_TEXTS = st.one_of(
    st.builds(
        "{}/{}".format, st.sampled_from(["", "unix:", "unix://", "remote:", "remote://", "serial:", "ipc://"]), _PATHS
    ),
    st.builds("unix://@{}".format, _PATHS),
    st.builds("vsock://{}:{}".format, st.integers(-1, ANY_CID), _PORTS),
    st.builds("hvsock:///{}:{}".format, _PATHS, _PORTS),
    st.builds("inproc://{}".format, _PATHS),
    st.text(max_size=40),
)


@given(_TEXTS)
def test_what_is_parsed_is_written_and_parsed_as_the_same(text: str) -> None:
    try:
        address = parse_address(text)
    except AddressError:
        return
    assert parse_address(str(address)) == address
    # and only an agent's has a dialer
    if address.kind is Kind.MAILBOX or address.target == "-1":
        with pytest.raises(AddressError):
            dialer_for(address)
    else:
        dialer_for(address)


def test_an_agent_and_a_mailbox_are_not_taken_for_each_other() -> None:
    with pytest.raises(AddressError, match=r"takes requests, for --world attached; an agent's address is unix://"):
        parse_agent_address("ipc:///run/server")
    with pytest.raises(AddressError, match=r"is where an agent listens; a katrio takes requests at ipc://, inproc://"):
        parse_mailbox_address("unix:///run/agent.sock")
    with pytest.raises(AddressError, match="is where an agent listens"):
        transport_for("/run/agent.sock")
    assert parse_agent_address("vsock://3:1024").kind is Kind.AGENT
    assert parse_mailbox_address("ipc:///run/server").kind is Kind.MAILBOX


@pytest.mark.parametrize(
    ("control", "streams"),
    [
        ("unix:///x/hyper.sock", "unix:///x/tty.sock"),
        ("vsock://3:2718", "vsock://3:2719"),
        ("hvsock:///x/vm.sock:2718", "hvsock:///x/vm.sock:2719"),
    ],
)
def test_the_stream_channel_is_known_where_it_has_a_usual_name(control: str, streams: str) -> None:
    assert streams_address(parse_address(control)) == parse_address(streams)


@pytest.mark.parametrize("control", ["unix:///x/other.sock", "serial:/dev/ttyS1", "vsock://3:1024", "unix://@hyper"])
def test_a_stream_channel_without_a_usual_name_must_be_named(control: str) -> None:
    with pytest.raises(AddressError, match="which address has the stream channel"):
        streams_address(parse_address(control))


def test_every_address_of_this_machine_is_to_listen_on_alone() -> None:
    assert parse_agent_address("vsock://-1:1024").port == 1024
    assert parse_dialled_address("vsock://3:1024") == parse_agent_address("vsock://3:1024")
    for text in ("vsock://-1:1024", "vsock://4294967295:1024"):
        with pytest.raises(AddressError, match="listen on alone; dial a machine's own number: vsock://CID:PORT"):
            parse_dialled_address(text)
