"""hyperstart: the control and stream channels of the guest agent of runv and early virtcontainers, without I/O.

`codec`: frames. `messages`: command bodies. `control` and `streams`: the protocol state of the two channels, for host
and guest each.
"""
