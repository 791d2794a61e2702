"""Accuracy, as LAPACK tests it: scaled residuals of matrices and models by kind.

`reference` computes in long double, `matrices` and `models` make cases by kind and hold gprat
against it, `tally` keeps the worst ratio of each; ``python -m campaigns.accuracy`` runs it all.
"""
