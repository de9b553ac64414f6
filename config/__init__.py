"""params.yaml: its sections, its methods, reading and checking."""
