"""The loop, teacher signals, metrics and the curriculum: what all methods share."""
