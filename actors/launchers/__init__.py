"""What starts or finds the guest of a sandbox: a process of this machine, an agent at an address, or none."""
