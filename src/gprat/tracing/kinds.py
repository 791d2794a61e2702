"""What the names of tasks mean: their family, and the unit of their work."""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["FAMILIES", "Unit", "family_of", "unit_of"]

Unit: TypeAlias = Literal["flop", "pairs"]

# In the order in which a computation comes to them.
FAMILIES = (
    "covariances",
    "panel",
    "update",
    "solves",
    "inverse",
    "gradient",
    "prediction",
    "other",
)

_FAMILY_OF = {
    "assemble": "covariances",
    "cross_covariance": "covariances",
    "potrf": "panel",
    "trsm": "panel",
    "lq": "panel",
    "syrk": "update",
    "gemm": "update",
    "reflect": "update",
    "trtri": "inverse",
    "lauum": "inverse",
    "contract": "gradient",
    "mean": "prediction",
    "mean_product": "prediction",
    "variance": "prediction",
    "covariance": "prediction",
    "product": "covariances",
    "cholesky": "panel",
    "panel": "panel",
    "update_cholesky": "update",
    "update_panel": "update",
    "invert": "inverse",
    "inverse": "inverse",
    "update_gradient": "inverse",
    "squares": "inverse",
    "weights": "solves",
    "weights_product": "solves",
    "kriging": "prediction",
    "explain": "prediction",
    "explained": "prediction",
    "gradient": "gradient",
    "pull_back_training": "gradient",
    "pull_back_cross": "gradient",
    "pull_back_prior": "gradient",
}
_FAMILY_BY_START = {
    "solve": "solves",
    "multiply": "solves",
    "inverse_": "inverse",
    "gram_": "inverse",
    "update_inv": "inverse",
    "whiten": "solves",
    "update_whiten": "solves",
    "update_covariance": "prediction",
    "update_kriging": "prediction",
    "loo_": "gradient",
    "update_loo": "gradient",
}
_IN_PAIRS = frozenset(
    {
        "assemble",
        "contract",
        "cross_covariance",
        "cross_gradient",
        "mean",
        "mean_gradient",
        "product",
        "variance_gradient",
    }
)


def family_of(name: str) -> str:
    """Return the family of an operation, by which pictures are coloured.

    Parameters
    ----------
    name : str
        Name of the operation, as in the records of a trace.

    Returns
    -------
    str
        "covariances": evaluated; "panel": the Cholesky factor of a diagonal tile and the solves
        below it; "update": matrix products of the factorisation; "solves": with the factor, or
        products with it; "inverse": of the covariance matrix; "gradient"; "prediction": means and
        variances; "other": copies, sums, trends.

    Examples
    --------
    >>> family_of("potrf"), family_of("solve_update"), family_of("copy_rows")
    ('panel', 'solves', 'other')
    """
    if name in _FAMILY_OF:
        return _FAMILY_OF[name]
    if name.endswith("_gradient"):
        return "gradient"
    for start, family in _FAMILY_BY_START.items():
        if name.startswith(start):
            return family
    return "other"


def unit_of(name: str) -> Unit:
    """Return what the work of an operation is counted in.

    Parameters
    ----------
    name : str
        Name of the operation, as in the records of a trace.

    Returns
    -------
    {"flop", "pairs"}
        Floating-point operations; or pairs of points whose covariance is evaluated or
        differentiated.

    Examples
    --------
    >>> unit_of("gemm"), unit_of("assemble")
    ('flop', 'pairs')
    """
    return "pairs" if name in _IN_PAIRS else "flop"
