"""Starts or finds the guest of a sandbox: a local process, an agent at an address, or none."""
