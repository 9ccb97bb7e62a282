"""Bytes, frames and correlation: everything below the actors.

For moving messages and byte streams between processes. Not for meaning: nothing in here
knows an actor, a sandbox or a verb.
"""
