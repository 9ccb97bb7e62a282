"""gRPC: unary calls over HTTP/2 on a byte stream, as the agents of Kata 1.x speak it.

`codec` has gRPC's own words, `gate` cuts and counts what arrives before anything else sees it, `headers` knows what a list
of headers may be, `http2` wraps h2, and `calling` and `serving` are the two sides (all without I/O); `client` and `server`
give them to `transports.calls`, which runs them under Trio. Not here: streaming calls (Kata has none), compression, TLS, protobuf payloads (`actors.schemas`).
"""
