"""State machines: one transition table each for sandbox, container and process, and where each verb is allowed.

Used by host and guest alike. Pure: no clock, no I/O, no state of its own.
"""
