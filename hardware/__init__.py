"""Named accelerate configurations, and a launcher of stages on them."""

import environment

environment.begin()  # before accelerate is imported, which reads it
