"""Scenario runs: a file in words, checked whole, run in a world, told by reports.

Knows handles, and the `World` protocol; not which system, guest or transport a world stands on.
"""
