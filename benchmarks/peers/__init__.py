"""What the hub is measured beside, and what it is measured with."""
