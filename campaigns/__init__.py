"""Long checks, one module or package each: ``python -m campaigns.NAME``, or ``make NAME``."""
