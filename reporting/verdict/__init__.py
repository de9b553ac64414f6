"""The tests that decide whether a student may be shipped, each with its figure and threshold; for gate and report."""
