"""The simulated box: a small kernel of processes, and the programs of its containers. It imports nothing else of katrio (README.md)."""
