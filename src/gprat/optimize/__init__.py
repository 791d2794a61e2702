"""Optimisers of hyperparameters: minimisers of a loss of log hyperparameters within bounds.

`base` says what an optimiser is and records what it tries, `registry` finds one by name; each
other module is one optimiser.
"""
