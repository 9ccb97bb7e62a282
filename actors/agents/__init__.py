"""The host's clients for guest agents: noop, kata and hyperstart, each behind the interface in `base`."""
