"""Networks, how they start, and how they are stored; nothing here trains them."""
