"""What may follow what: one transition table for each state machine, and which verb is allowed where.

For sandbox, container and process, on the host and in the guest alike. Pure: no clock, no I/O, no memory
of its own. Not for doing anything.
"""
