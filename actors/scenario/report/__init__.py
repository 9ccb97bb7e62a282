"""How a run is told: live in a terminal, in plain lines, as JSON. Only this package may import rich."""
