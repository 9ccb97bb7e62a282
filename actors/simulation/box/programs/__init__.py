"""The programs of simulated containers: a shell, and a small table of what busybox has. Pure: they yield the kernel's calls."""
