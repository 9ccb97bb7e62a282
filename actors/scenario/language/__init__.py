"""What a scenario file can say: kinds of texts, values, conditions, thresholds, and what a file declares. Pure."""
