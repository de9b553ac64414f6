"""Batch scoring's parts: rows of a file chunk by chunk, and the same file written with more columns."""
