"""Fuzzing: well-formed sessions of every protocol, spoiled where it hurts, against every codec and both ends of it.

`targets` says what is attacked and what must hold, `mutate` spoils, `engine` runs, measures and minimises; one seed gives
one run. `scripts/fuzz` runs as much as it is asked to, the tests here a little of each. Not for lies that only a peer with a
plan tells (`tests.support.lies`), nor for sockets: all of it runs in memory and in virtual time.
"""
