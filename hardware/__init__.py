"""Named accelerate configurations, and the launcher of a stage on one of them."""

import environment

environment.begin()  # before accelerate is imported, which reads it
