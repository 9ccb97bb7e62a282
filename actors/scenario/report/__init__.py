"""Reports of a run: live in a terminal, in lines, as JSON, JUnit and a page; made with `actors.reporting`."""
