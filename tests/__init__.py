"""The tests; what they share lies in `support` and `leaks`."""
