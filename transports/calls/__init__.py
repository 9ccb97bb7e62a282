"""Unary calls over a byte stream under Trio, whatever protocol carries them.

`connection` says what a protocol's two sides, without I/O, have to offer; `client` and `server` run them. `ttrpc` and
`grpc` are such protocols: one table of handlers and one kind of failure serve both. Not for streaming calls.
"""
