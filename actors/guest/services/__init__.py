"""Agent protocols that the guest serves: one module each, all over the same executor."""
