"""Agents with a defect: our own guest with one small change each, and agents that are no good at all.

For the tests of the conformance suite, which must notice each. `table` has the defects with their sources; `guest` runs one.
Not for lies told to a host (`tests.support.lies`).
"""
