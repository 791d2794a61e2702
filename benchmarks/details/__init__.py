"""Closer looks at single parts, each a command that prints a table."""
