"""Hybrid vsock: a VMM's unix socket that leads to the ports of its VM, after a handshake of one line each way.

`handshake`: both sides of it, without I/O. `sockets`: dial and listen.
"""
