"""params.yaml: its sections, the methods, and how it is read and checked."""
