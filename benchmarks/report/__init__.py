"""The README's table and the documentation's page, from what was measured."""
