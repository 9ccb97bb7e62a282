"""Composition: the root actor, the agents table, and the worlds in which containers really run."""
