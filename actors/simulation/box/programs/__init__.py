"""The programs of simulated containers: a shell, and a subset of busybox. Pure: they yield the kernel's system calls."""
