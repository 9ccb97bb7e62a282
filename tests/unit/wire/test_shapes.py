"""What Python programs pass for a spec: a spec, at every depth, whatever a mapping would decode to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import inspect as shapes

from actors.errors import InvalidArgument
from actors.wire.codec import encode_args
from actors.wire.reports import Interface
from actors.wire.sandbox_verbs import SANDBOX_VERBS, CreateContainer, Routes, UpdateInterface
from actors.wire.shapes import check_structs
from actors.wire.spec import ContainerSpec, MountSpec, ProcessSpec, ResourceSpec, SandboxSpec, TerminalSize
from actors.wire.verbs import CONTAINER_VERBS, SYSTEM_VERBS, CreateSandbox, Exec, Update

RUN = ProcessSpec(args=("true",))
NO: Any = {"memory": 5}


def made(**changes: object) -> CreateContainer:
    return CreateContainer("one", ContainerSpec(**{"process": RUN, **changes}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("args", "field"),
    [
        (CreateSandbox("one", NO), "spec"),
        (CreateContainer("one", NO), "spec"),
        (CreateContainer("one", RUN), "spec"),  # type: ignore[arg-type]
        (made(resources=NO), "resources"),
        (made(resources=None), "resources"),
        (made(process=NO), "process"),
        (made(mounts=(MountSpec(source="/a", destination="/b"), NO)), "mounts[1]"),
        (made(mounts=[NO]), "mounts[0]"),
        (made(process=ProcessSpec(args=("a",), size=(1, 2))), "process.size"),  # type: ignore[arg-type]
        (made(image=Path("/a")), "image"),
        (Exec("one", NO), "process"),
        (Update(NO), "resources"),
        (UpdateInterface(NO), "interface"),
        (UpdateInterface(Interface(device="lo", addresses=(NO,))), "interface.addresses[0]"),
        (Routes((NO,)), "routes[0]"),
    ],
)
def test_what_is_no_spec_is_refused_by_its_field(args: msgspec.Struct, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        encode_args(args)
    assert caught.value.details["field"] == field


def test_every_struct_below_every_verb_is_looked_at() -> None:
    """A wrong one put in the place of each in turn, by the declared types alone."""
    for verb in [*SYSTEM_VERBS.values(), *SANDBOX_VERBS.values(), *CONTAINER_VERBS.values()]:
        info = shapes.type_info(verb.args)
        assert isinstance(info, shapes.StructType)
        for field in info.fields:
            if isinstance(field.type, shapes.StructType):
                values = {one.name: NO if one is field else None for one in info.fields}
                with pytest.raises(InvalidArgument):
                    check_structs(verb.args(**values))


def test_a_spec_is_taken() -> None:
    whole = made(
        process=ProcessSpec(args=("a",), tty=True, size=TerminalSize(1, 2)),
        resources=ResourceSpec(pids=3),
        mounts=(MountSpec(source="/a", destination="/b"),),
    )
    for args in (whole, CreateSandbox("one", SandboxSpec()), Update(ResourceSpec()), made(mounts=())):
        check_structs(args)
