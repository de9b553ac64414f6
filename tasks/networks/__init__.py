"""What the stages share that run a network: how it is made, its settings, checkpoints and output."""
