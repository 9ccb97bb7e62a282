"""The host's clients for what runs in the guest: noop, kata and hyperstart, each behind the port in `base`."""
