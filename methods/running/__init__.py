"""What the methods share: the seam to the training loop, the task's loss, soft targets, pairs of layers."""
