"""The host's clients for what runs in the guest: noop and kata, each behind the port in `base`."""
