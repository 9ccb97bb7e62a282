"""A conformance suite for agents: what one does in every corner, seen from outside, case by case.

For `katrio conformance`, and for tests of our own guests. `case` says what a case is, `runner` runs them, `cases` has them.
Not for clients of agents (`actors.agents`), nor for guests.
"""
