"""Named accelerate configurations, and what starts a stage on one of them."""
