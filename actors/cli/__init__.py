"""The command `katrio`: words to validated options to work. Parsing imports neither trio nor rich."""
