"""Scenarios run in a world, and asks of a program written down as one."""
