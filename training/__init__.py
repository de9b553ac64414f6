"""Training loops, teacher signals and the curriculum, shared by all methods."""
