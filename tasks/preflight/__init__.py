"""Checks of files and networks named in a params file, before anything runs: folders, rows, checkpoints."""
