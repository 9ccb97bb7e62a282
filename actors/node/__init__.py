"""What this machine has and what katrio leaves on it: control groups, run directories, images, facts.

For both sides of an agent connection: the guest that runs containers here, and the host process that starts,
probes and sweeps guests. Standard library only and synchronous, since the guest's launcher must stay
single-threaded and small. Not for the containers themselves: `actors.guest` runs those.
"""
