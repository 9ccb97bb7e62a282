"""This machine's facilities and katrio's traces on it: cgroups, run directories, images, facts.

For both sides of an agent connection: the guest, and the host process that starts, probes and sweeps guests. Standard
library only and synchronous, since the guest's launcher must stay single-threaded and small. Containers are run by
`actors.guest`.
"""
