"""JUnit XML, which CI systems show: suites of cases, each with what came of it.

For mappings from what was done to `Suite` and `Case`. What XML can't carry, and what should not reach whoever prints the file,
is escaped here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from xml.etree import ElementTree

from transports.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Case", "Suite", "Tag", "junit_text"]

Tag = Literal["failure", "error", "skipped"]


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `tag`: how it did not pass, with a line that says why, and a text with all; None when it passed."""

    classname: str
    name: str
    seconds: float = 0.0
    tag: Tag | None = None
    message: str = ""
    text: str = ""
    # of its file
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """Cases that belong together. A property may come more than once."""

    name: str
    cases: Sequence[Case]
    seconds: float
    properties: Sequence[tuple[str, str]] = ()
    file: str | None = None


def junit_text(name: str, suites: Sequence[Suite]) -> str:
    """The document."""
    root = ElementTree.Element("testsuites", name=name)
    root.extend(map(_suite, suites))
    _count(root, [case for suite in suites for case in suite.cases], sum(suite.seconds for suite in suites))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _element(tag: str, attributes: Mapping[str, object]) -> ElementTree.Element:
    """Without the attributes that there are none of."""
    known = {name: _xml(str(value)) for name, value in attributes.items() if value is not None}
    return ElementTree.Element(tag, known)


def _suite(suite: Suite) -> ElementTree.Element:
    element = _element("testsuite", {"name": suite.name, "file": suite.file})
    properties = ElementTree.SubElement(element, "properties")
    properties.extend(_element("property", {"name": name, "value": value}) for name, value in suite.properties)
    element.extend(map(_case, suite.cases))
    _count(element, suite.cases, suite.seconds)
    return element


def _case(case: Case) -> ElementTree.Element:
    element = _element(
        "testcase",
        {"classname": case.classname, "name": case.name, "time": f"{case.seconds:.6f}", "line": case.line},
    )
    if case.tag is not None:
        found = _element(case.tag, {"message": case.message})
        found.text = _xml(case.text)
        element.append(found)
    return element


def _count(element: ElementTree.Element, cases: Iterable[Case], seconds: float) -> None:
    tags: list[str | None] = [case.tag for case in cases]
    element.set("tests", str(len(tags)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(tags.count(tag)))
    element.set("time", f"{seconds:.6f}")


def _xml(text: str) -> str:
    return printable(text, "\n\t")
