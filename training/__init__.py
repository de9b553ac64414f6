"""The loops, teacher signals and the curriculum: what all methods share."""
