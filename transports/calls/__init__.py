"""Unary calls over a byte stream under Trio, independent of the protocol.

`connection` defines the interface of a protocol's two sides, without I/O; `client` and `server` run them. `ttrpc` and
`grpc` implement it: both share one table of handlers and one kind of failure. No streaming calls.
"""
