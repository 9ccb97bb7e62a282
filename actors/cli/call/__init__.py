"""`katrio call`: any call of the Kata agent API by its name, one at a time or from a shell of its own."""
