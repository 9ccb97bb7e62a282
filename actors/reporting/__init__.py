"""What every report is made of, whatever it tells of: pages, JUnit, JSON, lines, a live terminal, files. Knows nothing that is told."""
