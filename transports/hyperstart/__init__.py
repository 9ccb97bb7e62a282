"""hyperstart: the control and stream channels of runv's and virtcontainers' old guest agent, without I/O.

Frames are in `codec`, the bodies that a guest understands in `messages`, what may follow what on the two channels in
`control` and `streams`, for host and guest each. Not for tasks and sockets.
"""
