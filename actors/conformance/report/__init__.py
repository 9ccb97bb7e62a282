"""What a run of the suite looks like: a table for people, JSON for programs, JUnit for CI systems, a page for later."""
