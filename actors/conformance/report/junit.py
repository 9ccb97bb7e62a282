"""A run as JUnit XML: one suite, a test case for each case, in the families as classes. For CI systems."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from actors.conformance.case import Verdict
from actors.scenario.report.junit import count_cases, xml_text

if TYPE_CHECKING:
    from actors.conformance.case import Result
    from actors.conformance.report.base import Told

__all__ = ["as_junit"]

# an agent that dies or hangs is no wrong answer
_TAGS = {
    Verdict.WRONG_CODE: "failure",
    Verdict.FALLS_SHORT: "failure",
    Verdict.HUNG: "error",
    Verdict.AGENT_DIED: "error",
    Verdict.NOT_ASKED: "skipped",
    Verdict.UNSUPPORTED: "skipped",
}


def as_junit(told: Told) -> str:
    """The document."""
    root = ElementTree.Element("testsuites", name="katrio conformance")
    suite = ElementTree.SubElement(root, "testsuite", name=xml_text(f"{told.spoken} agent at {told.address}"))
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (("agent", told.spoken), ("address", told.address), ("version", told.version)):
        ElementTree.SubElement(properties, "property", name=name, value=xml_text(value))
    for note in told.notes:
        ElementTree.SubElement(properties, "property", name="note", value=xml_text(note))
    known = {result.case.id for result in told.expected}
    for result in told.results:
        suite.append(_case(result, known=result.case.id in known))
    for case in told.not_run:
        element = ElementTree.SubElement(suite, "testcase", classname=case.id.partition(".")[0], name=case.id, time="0")
        ElementTree.SubElement(element, "skipped", message="interrupted before it was run")
    for element in (suite, root):
        count_cases(element, list(suite.iter("testcase")), told.seconds)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(result: Result, *, known: bool) -> ElementTree.Element:
    case = result.case
    element = ElementTree.Element("testcase", classname=case.id.partition(".")[0], name=f"{case.id}: {case.title}")
    element.set("time", f"{result.seconds:.6f}")
    if result.verdict is not Verdict.HOLDS:
        message = f"{'known: ' if known else ''}{result.verdict}: {result.seen}"
        tag = "skipped" if known else _TAGS[result.verdict]
        found = ElementTree.SubElement(element, tag, message=xml_text(message))
        lines = (
            f"does     {case.does}",
            f"expected {result.expected}",
            f"seen     {result.seen}",
            f"why      {case.why}",
        )
        found.text = xml_text("\n".join(lines))
    return element
