"""Training: minimises a loss of hyperparameters within bounds.

`task` is what a model hands over, `train` does the work and `report` is what it returns. `base`
says what an optimiser is and has the one gate of all evaluations; `registry` finds an optimiser
among `lbfgs`, `adam` and `external`; `trust_region` takes over where the curvature is known.
`restarts`, `warm_start` and `checkpoint` are one idea each, and `runs` takes one start through the
stages. `summary`, `rendering`, `advice` and `progress` tell people about it.
"""
