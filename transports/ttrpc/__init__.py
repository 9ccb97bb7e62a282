"""ttRPC: unary calls over a byte stream, as Kata's agents speak it.

Frames and bodies are in `codec`, what may follow what is in `connection` (both without I/O), and `client` and
`server` give them to `transports.calls`, which runs them under Trio. Not here: streaming calls (Kata has none), protobuf payloads (`actors.schemas`).
"""
