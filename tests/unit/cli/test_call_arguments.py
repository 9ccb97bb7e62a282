"""The words of a call become its request, and what is wrong is told by the field's name before anything is sent."""

from __future__ import annotations

import io
import json
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.cli.call.arguments import parse_call
from actors.cli.call.fitting import with_root
from actors.cli.call.terminal import candidates, history_file
from actors.errors import InvalidArgument, NotFound
from actors.schemas import agent as api
from actors.schemas import network as net
from actors.schemas.jsonform import request_from_json, request_to_json, response_to_json
from actors.schemas.resources import Storage, UpdateEphemeralMountsRequest
from actors.schemas.rpcs import RPCS, encode_request
from actors.schemas.shapes import request_shape
from actors.seams import real_seams

if TYPE_CHECKING:
    from pathlib import Path

    from msgspec import Struct

    from actors.schemas.shapes import Field, Shape

SEAMS = real_seams()


def request(*words: str, defaults: bool = False) -> Any:
    return parse_call(words, SEAMS, defaults=defaults).request


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("check",), api.CheckRequest()),
        (
            ("start-container", '{"container_id": "one"}'),
            api.StartContainerRequest(container_id="one"),
        ),
        (("StartContainer", "container_id=one"), api.StartContainerRequest(container_id="one")),
        (("StartContainer", "ContainerID=one"), api.StartContainerRequest(container_id="one")),
        (("StartContainer", "container-id=one"), api.StartContainerRequest(container_id="one")),
        # what comes later wins, field by field
        (
            ("RemoveContainer", '{"container_id": "one", "timeout": 3}', "timeout=0x10"),
            api.RemoveContainerRequest(container_id="one", timeout=16),
        ),
        (("GetGuestDetails", "mem_block_size=yes"), api.GuestDetailsRequest(mem_block_size=True)),
        (("WriteStdin", "data=a=b"), api.WriteStreamRequest(data=b"a=b")),
        (("WriteStdin", "data=@@home"), api.WriteStreamRequest(data=b"@home")),
        (("WriteStdin", '{"data": {"base64": "AP8="}}'), api.WriteStreamRequest(data=b"\0\xff")),
        (("CreateSandbox", "dns=a", "dns=b"), api.CreateSandboxRequest(dns=("a", "b"))),
        (("CreateSandbox", 'dns=["a", "b"]'), api.CreateSandboxRequest(dns=("a", "b"))),
        (
            ("UpdateInterface", "interface.name=eth0", 'interface.IPAddresses=[{"family": "v6", "address": "::1"}]'),
            net.UpdateInterfaceRequest(net.Interface(name="eth0", IPAddresses=(net.IPAddress(1, "::1"),))),
        ),
        (
            ("UpdateEphemeralMounts", '{"storages": [{"options": ["size=1m"]}]}'),
            UpdateEphemeralMountsRequest((Storage(options=("size=1m",)),)),
        ),
        (("SignalProcess", "signal=SIGTERM"), api.SignalProcessRequest(signal=15)),
        (("SignalProcess", '{"signal": "kill"}'), api.SignalProcessRequest(signal=9)),
        (("SignalProcess", "signal=10"), api.SignalProcessRequest(signal=10)),
        (("SetIPTables", '{"is_ipv6": null}'), net.SetIPTablesRequest()),
    ],
)
def test_words_become_the_request(words: tuple[str, ...], expected: Struct) -> None:
    assert request(*words) == expected


@pytest.mark.parametrize(
    ("words", "field", "says"),
    [
        (("PauseContainer", "contaner_id=one"), "contaner_id", "did you mean container_id?"),
        (("PauseContainer", '{"contaner_id": "one"}'), "contaner_id", "did you mean container_id?"),
        (("PauseContainer", '{"container_id": 7}'), "container_id", "found 7, expected a string"),
        (("PauseContainer", '{"container_id": ["a"]}'), "container_id", 'found ["a"], expected a string'),
        (("PauseContainer", '{"container_id": true}'), "container_id", "found true, expected a string"),
        (("SignalProcess", '{"container_id": "\\ud800", "signal": 9}'), "container_id", "a string of whole characters"),
        (("PauseContainer", "container_id=\udcff"), "container_id", "a string of whole characters"),
        (("WriteStdin", '{"data": "\\ud800"}'), "data", "expected text, or"),
        (("CreateContainer", '{"OCI": {"Annotations": {"\\ud800": "x"}}}'), "OCI.Annotations", "whole characters"),
        (("PauseContainer", "@a\0b"), "arguments", "null byte"),
        (("PauseContainer", "[]"), "arguments", "expected '{json}', @FILE"),
        (("PauseContainer", "one"), "arguments", "found 'one'"),
        (("PauseContainer", '{"container_id": "one"'), "request", "no JSON"),
        (("PauseContainer", "{" + '"a": {' * 100_000), "request", "no JSON"),
        (("PauseContainer", '{"container_id": "a", "container_id": "b"}'), "request", "twice"),
        (("PauseContainer", '{"container_id": "a", "containerId": "b"}'), "container_id", "twice"),
        (("RemoveContainer", "timeout=-1"), "timeout", "a whole number from 0 to 4294967295"),
        (("RemoveContainer", "timeout=soon"), "timeout", 'found "soon", expected a whole number'),
        (("RemoveContainer", '{"timeout": 1.5}'), "timeout", "found 1.5"),
        (("RemoveContainer", '{"timeout": "1"}'), "timeout", 'found "1"'),
        (("GetGuestDetails", "mem_block_size=2"), "mem_block_size", "true or false"),
        (("WriteStdin", '{"data": {"base64": "!"}}'), "data", "base64"),
        (("WriteStdin", "data=@/no/such/file"), "arguments", "No such file"),
        (("WriteStdin", "@/no/such/file"), "arguments", "No such file"),
        (("CreateSandbox", '{"dns": "a"}'), "dns", "a list of a string"),
        (("CreateSandbox", '{"storages": [{"drivr": "x"}]}'), "storages[0].drivr", "did you mean driver?"),
        (("CreateContainer", '{"OCI": {"Process": {"Args": ["a", 7]}}}'), "OCI.Process.Args[1]", "found 7"),
        (("CreateContainer", '{"OCI": {"Annotations": {"a": 1}}}'), "OCI.Annotations[a]", "found 1"),
        (("UpdateInterface", "interface=eth0"), "interface", "JSON of Interface"),
        (("UpdateInterface", "interface.nam=x"), "interface.nam", "did you mean name?"),
        (("UpdateInterface", "interface.name.x=1"), "interface.name", "has no field 'x'"),
        (("UpdateInterface", '{"interface": {"IPAddresses": [{"family": "v5"}]}}'), "interface.IPAddresses[0].family", "v4"),
        (("SignalProcess", "signal=SIGNOTHING"), "signal", "a number or a name such as SIGTERM"),
        (("CreateContainer", "image=busybox", "bundle=/x"), "OCI", "expected one of OCI"),
        (("CreateContainer", "bundle=/no/such"), "bundle", "No such file"),
        (("CreateContainer", "image=nonsense"), "image", "busybox"),
        (("ExecProcess", "args='a"), "args", "No closing quotation"),
        (("ExecProcess", "args=a", "tty=maybe"), "tty", "true or false"),
        (("Chek",), "rpc", "did you mean Check?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_field(words: tuple[str, ...], field: str, says: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        request(*words)
    assert caught.value.details["field"] == field
    assert says in caught.value.message


def test_files_and_standard_input_are_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, data = tmp_path / "request.json", tmp_path / "data"
    whole.write_text('{"container_id": "one", "exec_id": "e"}')
    data.write_bytes(b"\xff\0bytes")
    expected = api.WriteStreamRequest(container_id="one", exec_id="e", data=b"\xff\0bytes")
    assert request("WriteStdin", f"@{whole}", f"data=@{data}") == expected
    assert request("WriteStdin", f"file://{whole}", f"data=@{data}") == expected
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(whole.read_bytes())))
    assert request("WriteStdin", "-", f"data=@{data}") == expected
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"\xfe\xff")))
    for word in ("-", "data=@-"):
        with pytest.raises(InvalidArgument, match="standard input has the calls themselves"):
            parse_call(("WriteStdin", word), SEAMS, stdin=False)
    assert request("WriteStdin", "data=@-") == api.WriteStreamRequest(data=b"\xfe\xff")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("WaitProcess", "container_id=one"), {"container_id": "one", "exec_id": "one"}),
        (("WaitProcess", "container_id=one", "exec_id="), {"container_id": "one"}),
        (("ReadStdout", "container_id=one"), {"container_id": "one", "exec_id": "one", "len": 65536}),
        (("SignalProcess", "container_id=one", "signal=9"), {"container_id": "one", "exec_id": "one", "signal": 9}),
        (
            ("CopyFile", "path=/x", "data=four"),
            {"path": "/x", "file_size": 4, "file_mode": 0o644, "dir_mode": 0o755, "data": "four"},
        ),
        (("GetDiagnosticData", "container_id=one"), {"log_type": "termination_log", "container_id": "one"}),
        (("CreateSandbox", "sandbox_id=box"), {"hostname": "box", "sandbox_id": "box"}),
    ],
)
def test_what_is_left_out_is_filled_in(words: tuple[str, ...], expected: dict[str, Any]) -> None:
    assert request_to_json(RPCS[words[0]], request(*words, defaults=True)) == expected


def test_defaults_that_are_new_each_time() -> None:
    first, second = (request("ExecProcess", "args=ls -l 'a b'", defaults=True) for _ in range(2))
    assert first.process.args == ("ls", "-l", "a b")
    assert first.exec_id != second.exec_id
    assert abs(request("SetGuestDateTime", defaults=True).Sec - SEAMS.clock.wall()) < 60
    assert len(request("ReseedRandomDev", defaults=True).data) == 64


@pytest.mark.parametrize(("method", "field"), [("CreateContainer", "OCI"), ("ExecProcess", "process"), ("SignalProcess", "signal")])  # fmt: skip
def test_what_cannot_be_filled_in_is_asked_for(method: str, field: str) -> None:
    with pytest.raises(InvalidArgument, match="it is missing, expected") as caught:
        request(method, "container_id=one", defaults=True)
    assert caught.value.details["field"] == field


def test_a_bundle_and_an_image_become_whole_specifications(tmp_path: Path) -> None:
    config = {"ociVersion": "1.0.2", "process": {"args": ["ls"], "cwd": "/"}, "root": {"path": "rootfs"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    made = request("CreateContainer", "container_id=one", f"bundle={tmp_path}", defaults=True)
    assert made.exec_id == "one"
    assert made.OCI.root.path == str((tmp_path / "rootfs").resolve())
    assert made.OCI.process.args == ("ls",)
    made = request(
        "CreateContainer", "container_id=one", f"image=dir:{tmp_path}", "args=sleep 1", "user=nobody:nogroup"
    )
    assert (made.OCI.root.path, made.OCI.process.args) == (str(tmp_path), ("sleep", "1"))
    assert made.string_user == api.StringUser(uid="nobody", gid="nogroup")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InvalidArgument, match=r"ociVersion"):
        request("CreateContainer", f"bundle={tmp_path}")


# every request there is, as JSON and back


def values(field: Field) -> st.SearchStrategy[Any]:
    if field.shape is not None:
        one: st.SearchStrategy[Any] = structs(field.shape)
    else:
        one = {
            "string": st.text(st.characters(codec="utf-8"), max_size=8),
            "bytes": st.binary(max_size=8),
            "bool": st.booleans(),
            "enum": st.sampled_from([*field.words.values(), 77]),
        }.get(field.kind, st.integers(*(field.bounds or (0, 0))))
    if field.form == "repeated":
        return st.lists(one, max_size=2).map(tuple)
    if field.form == "map":
        return st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), one, max_size=2)
    return st.none() | one if field.optional or field.shape is not None else one


def structs(shape: Shape) -> st.SearchStrategy[Any]:
    return st.builds(shape.struct_type, **{field.attribute: values(field) for field in shape.fields})


@pytest.mark.parametrize("name", RPCS)
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_request_is_the_same_after_json(name: str, data: st.DataObject) -> None:
    rpc = RPCS[name]
    made = data.draw(structs(request_shape(rpc)))
    written = json.loads(json.dumps(request_to_json(rpc, made)))
    assert encode_request(rpc, request_from_json(rpc, written)) == encode_request(rpc, made)


@pytest.mark.parametrize("name", RPCS)
def test_every_answer_is_json_with_all_its_fields(name: str) -> None:
    told = response_to_json(RPCS[name], RPCS[name].response())
    assert json.loads(json.dumps(told)) == told
    assert bool(told) == (RPCS[name].response is not api.Empty)


@pytest.mark.parametrize(
    ("before", "text", "expected"),
    [
        ("", "get-oom", ["GetOOMEvent "]),
        ("", "repe", ["repeat "]),
        ("repeat 3 ", "che", ["Check "]),
        ("help ", "wai", ["WaitProcess "]),
        ("WaitProcess ", "con", ["container_id="]),
        ("createcontainer ", "im", ["image="]),
        ("createcontainer ", "oci.pro", ["OCI.Process."]),
        ("createcontainer ", "OCI.Process.Term", ["OCI.Process.Terminal="]),
        ("GetGuestDetails ", "mem_block_size=t", ["mem_block_size=true "]),
        ("UpdateInterface ", "nothing", []),
        ("bogus ", "x", []),
    ],
)
def test_completion_knows_calls_fields_and_words(before: str, text: str, expected: list[str]) -> None:
    assert candidates(before, text, ("help", "repeat", "quit")) == expected


def test_completion_knows_files(tmp_path: Path) -> None:
    (tmp_path / "data.bin").touch()
    assert candidates("WriteStdin ", f"data=@{tmp_path}/da", ()) == [f"data=@{tmp_path}/data.bin "]
    assert candidates("WriteStdin ", f"@{tmp_path}/da", ()) == [f"@{tmp_path}/data.bin "]


def test_the_history_lies_in_the_state_directory() -> None:
    assert str(history_file({"XDG_STATE_HOME": "/s"})) == "/s/katrio/call-history"
    assert str(history_file({"HOME": "/home/me"})) == "/home/me/.local/state/katrio/call-history"


def test_a_name_that_comes_again_after_many_others_is_found_at_once() -> None:
    names = [f'"{index}": 0' for index in range(100_000)]
    began = time.process_time()
    with pytest.raises(InvalidArgument, match="the name '99999' is there twice"):
        request("PauseContainer", "{" + ", ".join([*names, names[-1]]) + "}")
    # counting each name in all of them takes minutes
    assert time.process_time() - began < 20


async def test_an_image_is_unpacked_when_the_call_is_made_and_beside_the_loop(tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    archive.write_text("no archive")
    call = parse_call(("CreateContainer", "container_id=one", f"image=docker-archive:{archive}"), SEAMS)
    assert call.image == f"docker-archive:{archive}"
    for gone in (f"docker-archive:{archive}s", f"oci:{archive}", f"dir:{archive}"):
        with pytest.raises((NotFound, InvalidArgument)):
            parse_call(("CreateContainer", "container_id=one", f"image={gone}"), SEAMS)
    # only now is it looked into, in a thread that a cancel ends
    with pytest.raises(InvalidArgument, match="no proper tar"):
        await with_root(call)
    with trio.CancelScope() as scope:
        scope.cancel()
        await with_root(call)
    assert scope.cancelled_caught
