"""What every pass of a network stands on: steps, scores, predictions, processes, checkpoints."""
