"""ttRPC: unary calls over a byte stream, as Kata's agents speak it.

`codec`: frames and bodies. `connection`: protocol state. Both without I/O; `client` and `server` run them with
`transports.calls` under Trio. Streaming calls are not supported: Kata has none.
"""
