"""Networks, their initialisation and storage; no training."""
