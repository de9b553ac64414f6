"""The distillation methods: one file each, pure functions on tensors (see `seam.py` for what a method is)."""
