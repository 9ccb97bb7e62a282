"""The simulated box: a small kernel of processes, and the programs of its containers. It knows nothing else of katrio (README.md)."""
