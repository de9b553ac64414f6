"""Rows of text: described, read, checked, split, tokenised and batched; no models."""
