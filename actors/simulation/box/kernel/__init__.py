"""A small kernel of simulated processes: pure and stepped; the caller passes in the time and the random numbers."""
