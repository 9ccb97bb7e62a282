"""Hybrid vsock: a VMM's unix socket that multiplexes the vsock ports of its VM, after a one-line handshake each way.

`handshake`: both sides of it, without I/O. `sockets`: dial and listen.
"""
