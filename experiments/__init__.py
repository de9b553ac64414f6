"""Grids of runs, studies of the statistics, and the result pages made from them."""
