"""The content of mailbox messages: envelopes, verbs, and the plain values they carry."""
