"""A conformance suite for agents: tests an agent's behaviour from outside, case by case.

For `katrio conformance`, and for tests of our own guests. `case` defines a case, `runner` runs them, `cases` contains
them.
"""
