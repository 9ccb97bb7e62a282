"""How a run is told: live in a terminal, in lines, as JSON, JUnit and a page; out of what `actors.reporting` has."""
