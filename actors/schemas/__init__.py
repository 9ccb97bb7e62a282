"""The Kata agent API: protobuf bytes on one side, frozen structs on the other.

The only package that imports protobuf; host and guest both use it. `rpcs` has the table of calls and their codecs,
`agent`, `network`, `resources`, `stats` and `oci` the structs, `status` the codes of failures. Not here: how bytes travel
(`transports.ttrpc`) and what a call does (`actors.agents.kata`, `actors.guest`).
"""
