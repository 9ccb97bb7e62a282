"""Runs as JUnit XML: a suite for each file, a case for each of its steps. For CI systems that show such files.

A case is called what its step is called in the file, before values are in, so that it has one name in every run; of several with
one name the second is `NAME (2)`.
A file that was skipped, or that came to grief before its first step, is one case of that kind.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from actors.scenario.report.base import is_worth_a_line, reasons
from actors.scenario.report.files import FileReport
from actors.scenario.stage.events import Outcome
from transports.plain import printable

if TYPE_CHECKING:
    from typing import TextIO

    from actors.scenario.stage.events import StepEnded
    from actors.scenario.stage.results import Result

__all__ = ["JunitReport", "count_cases", "xml_text"]

_TAGS = {
    Outcome.FAILED: "failure",
    Outcome.ERROR: "error",
    Outcome.SKIPPED: "skipped",
    Outcome.CANCELLED: "skipped",
    Outcome.INTERRUPTED: "error",
}


class JunitReport(FileReport):
    """Writes one document to `stream` when it is closed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._results: list[Result] = []

    def result(self, result: Result) -> None:
        self._results.append(result)

    def close(self) -> None:
        if self._stream.closed:
            return
        root = ElementTree.Element("testsuites", name="katrio")
        for result in self._results:
            root.append(_suite(result))
        count_cases(root, list(root.iter("testcase")), sum(result.duration_s for result in self._results))
        ElementTree.indent(root)
        self._stream.write(ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n")
        self._stream.close()


def _suite(result: Result) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", name=xml_text(result.name), file=xml_text(result.file))
    properties = ElementTree.SubElement(suite, "properties")
    for name in ("world", "agent", "engine", "seed", "trace_digest"):
        if (value := getattr(result, name)) is not None:
            ElementTree.SubElement(properties, "property", name=name, value=xml_text(str(value)))
    steps = [step for step in result.steps if is_worth_a_line(step)]
    names: Counter[str] = Counter()
    for step in steps:
        name = step.written or step.title
        names[name] += 1
        suite.append(_case(result, step, name if names[name] == 1 else f"{name} ({names[name]})"))
    # what no step of it says: skipped, no system, a threshold, the time was up
    if result.outcome is not Outcome.HELD and not any(step.outcome is result.outcome for step in steps):
        case = ElementTree.SubElement(suite, "testcase", classname=xml_text(result.file), name="the scenario", time="0")
        ElementTree.SubElement(case, _TAGS[result.outcome], message=xml_text(result.reason))
    count_cases(suite, list(suite.iter("testcase")), result.duration_s)
    return suite


def _case(result: Result, step: StepEnded, name: str) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=xml_text(result.file), name=xml_text(name))
    case.set("time", f"{step.seconds:.6f}")
    case.set("line", str(step.line))
    if step.outcome is not Outcome.HELD:
        message = step.skipped or "another step's failure stopped it"
        if step.failure is not None:
            message = f"expected {step.failure.expected}, saw {step.failure.seen}"
        element = ElementTree.SubElement(case, _TAGS[step.outcome], message=xml_text(message))
        element.text = xml_text("\n".join(reasons(step)))
    return case


def count_cases(element: ElementTree.Element, cases: list[ElementTree.Element], seconds: float) -> None:
    """Write how many there are of each kind onto a suite, or onto all of them."""
    element.set("tests", str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(1 for case in cases if case.find(tag) is not None)))
    element.set("time", f"{seconds:.6f}")


def xml_text(text: str) -> str:
    """A text in which what XML can't carry, and what should not reach whoever prints the file, is escaped."""
    return printable(text, "\n\t")
