"""Libraries that do the same work, each in its own process and environment."""
