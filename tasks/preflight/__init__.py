"""Checks of what a params file names, before anything runs: folders, rows, checkpoints."""
