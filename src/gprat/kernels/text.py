"""Kernels written as text, for command lines and configuration files; nothing is evaluated."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any, NoReturn

from sklearn.gaussian_process.kernels import Kernel

from gprat.exceptions import InvalidInputError, UnsupportedTypeError
from gprat.kernels.description import DEEPEST, KERNELS, make_kernel

__all__ = ["parse_kernel"]

_LONGEST = 100_000
# What is read can be stored: values inside a kernel are nested a few levels themselves.
_DEEPEST = DEEPEST - 10
_INTEGER_LIMIT = 1 << 63
_NUMBERS = {"inf": math.inf, "nan": math.nan}
_OPERATORS = {ast.Add: "+", ast.Mult: "*", ast.Pow: "**"}
_ALLOWED = (
    f"Write a kernel of {', '.join(sorted(KERNELS))}, with numbers, lists, tuples, text, None or "
    "inf as arguments, or several joined by +, * and **."
)
_WHAT: dict[type[ast.AST], str] = {
    ast.Attribute: "an attribute",
    ast.Subscript: "an index",
    ast.Lambda: "a function",
    ast.JoinedStr: "an f-string",
    ast.NamedExpr: "an assignment",
    ast.Starred: "an unpacked argument",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.Dict: "a dictionary",
    ast.Set: "a set",
    ast.IfExp: "a condition",
    ast.Compare: "a comparison",
    ast.BoolOp: "a logical operator",
}


def parse_kernel(text: str) -> Kernel:
    """Make the kernel that a text describes, written as in Python.

    The text is read, never evaluated, so that it may come from anywhere.

    Parameters
    ----------
    text : str
        Kernels of `gprat.kernels` with arguments as their constructors take them, joined by ``+``,
        ``*`` and ``**``. Arguments are numbers, ``inf``, text, None, lists, tuples and kernels, and
        ``slice(...)`` for the columns of an `ActiveDims`. A name alone, ``RBF``, is the kernel with
        its default arguments. At most 100 000 characters.

    Returns
    -------
    Kernel
        As Python would have made it.

    Raises
    ------
    InvalidInputError
        If the text is anything else; the error names the part and its place.
    UnsupportedTypeError
        If it is no text.

    Examples
    --------
    >>> from gprat.kernels import parse_kernel
    >>> parse_kernel("Matern(length_scale=[1, 2], nu=2.5) + WhiteKernel(0.1)")
    Matern(length_scale=[1, 2], nu=2.5) + WhiteKernel(noise_level=0.1)
    >>> parse_kernel("RBF ** 2")
    RBF(length_scale=1) ** 2
    """
    if not isinstance(text, str):
        raise UnsupportedTypeError(
            f"a kernel as text must be a str, got {text!r:.80} of type {type(text).__name__}. "
            'Write, for example, "RBF(1.0) + WhiteKernel(0.1)".'
        )
    if len(text) > _LONGEST:
        raise InvalidInputError(
            f"the text of the kernel has {len(text)} characters, more than {_LONGEST}. Make such "
            "a kernel in Python."
        )
    value = _Reader(text.strip()).read()
    if not isinstance(value, Kernel):
        raise InvalidInputError(f"{text!r:.80} is no kernel but {value!r:.80}. {_ALLOWED}")
    return value


class _Reader:
    """Walks the syntax tree of a text; whatever is not on its list is refused."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._depth = 0
        self._readers: dict[type[ast.AST], Callable[[Any], Any]] = {
            ast.Constant: self._constant,
            ast.Name: self._name,
            ast.UnaryOp: self._sign,
            ast.BinOp: self._operation,
            ast.List: lambda node: [self._visit(entry) for entry in node.elts],
            ast.Tuple: lambda node: tuple(self._visit(entry) for entry in node.elts),
            ast.Call: self._call,
        }

    def read(self) -> Any:
        """Return the kernel, or whatever else the text stands for."""
        try:
            tree = ast.parse(self._text, mode="eval")
        except SyntaxError as error:
            place = f" at column {error.offset}" if error.offset else ""
            self._give_up(f"{error.msg}{place}")
        except (MemoryError, RecursionError):
            self._give_up("it is nested too deeply")
        except ValueError as error:  # zero bytes or lone surrogates
            self._give_up(str(error))
        return self._visit(tree.body)

    def _visit(self, node: ast.expr) -> Any:
        reader = self._readers.get(type(node))
        if reader is None:
            what = _WHAT.get(type(node), f"a {type(node).__name__}")
            self._refuse(node, f"is {what}, which a kernel has no use for")
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse(node, f"is nested more than {_DEEPEST} deep")
        value = reader(node)
        self._depth -= 1
        return value

    def _constant(self, node: ast.Constant) -> Any:
        value = node.value
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._refuse(node, "is neither a number nor text")
        # An integer is compared as such: it may be too large for a float, or to be printed.
        is_small = value < _INTEGER_LIMIT if isinstance(value, int) else math.isfinite(value)
        if not is_small:
            self._refuse(node, "is too large a number")
        return value

    def _name(self, node: ast.Name) -> Any:
        if node.id in _NUMBERS:
            return _NUMBERS[node.id]
        if node.id not in KERNELS:
            self._refuse(node, "is no kernel that can be written as text")
        return self._make(node, node.id, [], {})

    def _sign(self, node: ast.UnaryOp) -> Any:
        value = self._visit(node.operand)
        if not isinstance(node.op, ast.USub | ast.UAdd) or not _is_number(value):
            self._refuse(node, "is an operator on one value other than the sign of a number")
        return -value if isinstance(node.op, ast.USub) else value

    def _operation(self, node: ast.BinOp) -> Any:
        operator = _OPERATORS.get(type(node.op))
        if operator is None:
            self._refuse(node, "has an operator other than +, * and **")
        left, right = self._visit(node.left), self._visit(node.right)
        for value in (left, right):
            if not isinstance(value, Kernel) and not _is_number(value):
                self._refuse(node, f"applies {operator} to something other than kernels, numbers")
        if _is_number(left) and _is_number(right):
            return self._compute(node, operator, float(left), float(right))
        if operator == "**":
            if not isinstance(left, Kernel) or isinstance(right, Kernel):
                self._refuse(node, "has an exponent that is no number")
            return left**right
        return left + right if operator == "+" else left * right

    def _compute(self, node: ast.BinOp, operator: str, left: float, right: float) -> float:
        """Compute with two numbers, since kernels print their variances as ``1.41**2``."""
        result: Any
        try:
            if operator == "**":
                result = left**right
            else:
                result = left + right if operator == "+" else left * right
        except (OverflowError, ZeroDivisionError):
            result = math.nan
        if isinstance(result, complex) or not math.isfinite(result):
            self._refuse(node, "is no finite number")
        return float(result)

    def _call(self, node: ast.Call) -> Any:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in KERNELS and name != "slice":
            self._refuse(node.func, "is no kernel that can be written as text")
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                self._refuse(keyword.value, "is an unpacked argument, which is not allowed")
            if keyword.arg in named:
                self._refuse(keyword.value, f"is {keyword.arg} for the second time")
            named[keyword.arg] = self._visit(keyword.value)
        return self._make(node, name, [self._visit(entry) for entry in node.args], named)

    def _make(self, node: ast.expr, name: str, entries: list[Any], named: dict[str, Any]) -> Any:
        if name == "slice":
            are_whole = all(entry is None or isinstance(entry, int) for entry in entries)
            if named or not 1 <= len(entries) <= 3 or not are_whole:
                self._refuse(node, "needs one to three whole numbers or None")
            return slice(*entries)
        try:
            return make_kernel(name, tuple(entries), named)
        except InvalidInputError as error:
            self._refuse(node, f"doesn't fit: {error}")

    def _give_up(self, why: str) -> NoReturn:
        raise InvalidInputError(f"{self._text!r:.80} is no kernel: {why}. {_ALLOWED}") from None

    def _refuse(self, node: ast.expr, why: str) -> NoReturn:
        """Raise an error that names the part of the text and its place."""
        lines = self._text.splitlines()
        # Columns of the syntax tree count bytes, and its lines end at "\n" alone.
        line = self._text.split("\n")[node.lineno - 1].encode()
        column = len(line[: node.col_offset].decode(errors="replace")) + 1
        part = ast.get_source_segment(self._text, node) or ""
        place = f"column {column}" if len(lines) == 1 else f"line {node.lineno}, column {column}"
        raise InvalidInputError(f"{part!r:.60} at {place} {why}. {_ALLOWED}") from None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
