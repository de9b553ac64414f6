"""What every stage runs on: its arguments, inputs and output folder, this machine, torch."""
