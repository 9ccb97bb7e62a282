"""gRPC: unary calls over HTTP/2 on a byte stream, as the agents of Kata 1.x speak it.

`codec` has gRPC's own encodings, `gate` cuts and counts incoming frames before anything else sees them, `headers`
validates header lists, `http2` wraps h2, and `calling` and `serving` are the two sides (all without I/O); `client` and
`server` run them with `transports.calls` under Trio. Not supported: streaming calls (Kata has none), compression, TLS.
"""
