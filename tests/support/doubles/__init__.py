"""Doubles of agents that somebody else wrote: our own guest, made to behave as each of them was seen to.

Three: today's kata-agent, Kata 1.x's, and a real hyperstart. Each is a kit of parts (`tests.support.planted.defect.Kit`), over the
simulated engine in virtual time (`opening`), or over a real engine in a process at an address (`python -m tests.support.doubles`).
What each does is a table: `tables`. Not for defects planted one at a time, nor for guests that lie.
"""
