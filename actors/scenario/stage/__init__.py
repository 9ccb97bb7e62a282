"""What a running scenario has at hand: the world, handles by name, processes and their output, the journal."""
