"""yamux: several byte streams over one channel, as Kata 1.x has it over virtio-serial.

`codec`: frames. `session`: streams, windows and bounds, without I/O. `channel`: both under Trio. `dialer`: a channel as
something to dial, and to serve.
"""
