"""Runtime of every stage: arguments, inputs, output folder, checksums, processes, torch."""
