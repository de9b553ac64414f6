"""What the stages share that train a student."""
