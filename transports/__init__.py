"""Bytes, frames and request correlation: everything below the actors. Nothing here knows an actor, a sandbox or a verb."""
