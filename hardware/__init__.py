"""Named accelerate configurations, and what starts a stage on one of them."""

import environment

environment.begin()  # before accelerate is imported, which reads it
