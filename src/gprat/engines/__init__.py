"""Engines: where and how the linear algebra of a Gaussian process runs.

`base` says what an engine offers, `registry` finds one by name; each other module is one engine,
but for `diagnosis`, which explains failed factorisations for all of them.
"""
