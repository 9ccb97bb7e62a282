"""Images that a scenario names and this machine has not: found before anything is started.

For `katrio validate`, and for runs on this machine. Looks only: nothing is unpacked, and what is broken inside an archive is told by
the run. Not for containers whose create may be refused, since that may be what the file is about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.errors import InvalidArgument, NotFound
from actors.images.store import check_reference
from actors.scenario.language.values import substitute, variables_in
from actors.scenario.reading.problems import Problem
from actors.scenario.reading.scenario import steps_of
from actors.scenario.steps.lifecycle import Create

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.scenario.reading.scenario import Loaded

__all__ = ["missing_images"]


def missing_images(loaded: Loaded) -> Iterator[Problem]:
    """One fault for each place that names such an image."""
    refused = {
        name.rpartition("/")[2]
        for path, step in steps_of(loaded)
        if isinstance(step, Create) and step.expect is not None and step.expect.error
        for name in loaded.targets.get(f"{path}.create", ())
    }
    variables = loaded.scenario.vars
    for place in loaded.images:
        *_, above, name, _ = ["", "", *place.field.split(".")]
        if above == "containers" and name in refused:
            continue
        if any(name not in variables for name in variables_in(place.text)):
            continue
        image = substitute(place.text, variables)
        try:
            check_reference(image)
        except (InvalidArgument, NotFound) as error:
            yield Problem(
                file=place.file,
                line=place.line,
                column=place.column,
                field=place.field,
                found=repr(image),
                expected=f"an image that this machine has ({error.message.partition(': ')[2]})",
            )
