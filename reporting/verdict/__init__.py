"""May a student be shipped? The tests that decide it, each with its figure and threshold; for the gate and the report."""
