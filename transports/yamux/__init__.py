"""yamux: several byte streams over one channel, as Kata 1.x has it over virtio-serial.

`codec`: frames. `session`: streams, windows and bounds, without I/O. `channel`: a session under Trio. `dialer`: dial
and serve a channel.
"""
