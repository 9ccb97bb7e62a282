"""The table of what engines do with a specification's fields has all of them, once, and a value for each that is not applied."""

from __future__ import annotations

import pytest
from msgspec import Struct, structs

from actors.guest.engines.enforced import ROWS, Handling
from actors.schemas import oci
from tests.support.engine_fields import GIVEN, PARTS

ENGINES = ("runc", "crun", "processes", "simulated")
# whose parts are rows of their own
WHOLE: dict[str, type[Struct]] = {"process": oci.Process, "root": oci.Root, "linux": oci.Linux}


def test_every_field_has_one_row() -> None:
    names = {field.encode_name for field in structs.fields(oci.Spec)} - set(WHOLE) - {"ociVersion"}
    names |= {f"{part}.{field.encode_name}" for part, kind in WHOLE.items() for field in structs.fields(kind)}
    assert sorted(row.field for row in ROWS) == sorted(names)


@pytest.mark.parametrize("engine", ENGINES)
def test_whatever_is_not_applied_has_a_reason_and_is_tried(engine: str) -> None:
    for row in ROWS:
        if row.deed(engine) is not Handling.APPLIED:
            assert row.why
            assert row.field in GIVEN or row.field == "root.path"
        if row.deed(engine) is Handling.PARTLY:
            assert row.field in PARTS
