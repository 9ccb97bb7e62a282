"""JUnit XML: what was given comes out, counted, whatever the texts are."""

from __future__ import annotations

from typing import get_args
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from actors.reporting.junit import Case, Suite, Tag, junit_text
from transports.plain import printable

TEXT = st.text(st.characters())
CASES = st.builds(
    Case,
    classname=TEXT,
    name=TEXT,
    seconds=st.floats(0, 1e6),
    tag=st.none() | st.sampled_from(get_args(Tag)),
    message=TEXT,
    text=TEXT,
    line=st.none() | st.integers(1, 9),
)
SUITES = st.builds(
    Suite, name=TEXT, cases=st.lists(CASES, max_size=4), seconds=st.floats(0, 1e6), file=st.none() | TEXT
)


@given(st.lists(SUITES, max_size=3))
def test_every_case_is_there_with_what_came_of_it(suites: list[Suite]) -> None:
    root = ElementTree.fromstring(junit_text("all", suites))
    cases = [case for suite in suites for case in suite.cases]
    assert root.get("tests") == str(len(cases))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        number = str(sum(case.tag == tag for case in cases))
        assert root.get(attribute) == number == str(len(root.findall(f".//{tag}")))
    for case, element in zip(cases, root.iter("testcase"), strict=True):
        assert (element.get("line") is None) == (case.line is None)
        (found,) = element if case.tag else [None]
        if found is not None:
            assert found.tag == case.tag
            assert found.get("message") == printable(case.message, "\n\t")


def test_a_suite_has_its_file_and_its_properties() -> None:
    suite = Suite("one", [Case("f", "held", 0.5, line=3)], 2.0, [("note", "a"), ("note", "b")], "f.yaml")
    root = ElementTree.fromstring(junit_text("all", [suite, suite]))
    assert (root.get("name"), root.get("time")) == ("all", "4.000000")
    element = root[0]
    assert (element.get("name"), element.get("file"), element.get("time")) == ("one", "f.yaml", "2.000000")
    assert [(one.get("name"), one.get("value")) for one in element.iter("property")] == [("note", "a"), ("note", "b")]
    assert [dict(case.attrib) for case in element.iter("testcase")] == [
        {"classname": "f", "name": "held", "time": "0.500000", "line": "3"}
    ]
