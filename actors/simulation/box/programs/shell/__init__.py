"""A small shell: `lexer` and `parser` read a script, `interpreter` runs it as a simulated process; see `main`."""
