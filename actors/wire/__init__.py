"""What crosses a mailbox: envelopes, verbs, and the plain values they carry. Not for sending anything."""
