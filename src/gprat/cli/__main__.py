"""Lets ``python -m gprat.cli`` do what ``gprat`` does."""

from gprat.cli import main

main()
