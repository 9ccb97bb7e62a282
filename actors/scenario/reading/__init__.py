"""From the text of a file to a scenario that is right in itself; the JSON Schema of the language. Pure but for reading files."""
