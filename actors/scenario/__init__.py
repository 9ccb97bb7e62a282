"""Scenario runs: a file is checked as a whole, run in a world, and reported.

Knows handles, and the `World` protocol; not which system, guest or transport a world stands on.
"""
