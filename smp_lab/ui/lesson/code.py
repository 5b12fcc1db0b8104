"""Where the product computes what a screen shows: found in its source when asked for, so that it cannot go stale."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import smp_lab


class Code(NamedTuple):
    """A statement of the product: its module, its first line counted from 1, and its text."""

    module: str
    line: int
    text: str


def find_code(module: str, function: str, words: str) -> Code:
    """The smallest statement of a function that holds some words.

    The module is read and not imported, nor is a package that it is in: they may need torch.

    Parameters
    ----------
    module
        Full name, of a module of the library.
    function
        Name in the module, ``Class.method`` for a method.
    words
        Part of the statement as it is written.

    Raises
    ------
    LookupError
        If there is no such function, or not one statement of it with these words.
    """
    file = Path(smp_lab.__file__).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")
    if not file.is_file():
        raise LookupError(f"There is no module {module}.")
    source = file.read_text(encoding="utf-8")
    scope: ast.AST = ast.parse(source)
    for name in function.split("."):
        found = [node for node in ast.iter_child_nodes(scope) if getattr(node, "name", None) == name]
        if len(found) != 1:
            raise LookupError(f"{module} has no {function}.")
        (scope,) = found
    lines = source.splitlines()
    ends = {node.lineno: node.end_lineno or node.lineno for node in _statements(scope)}
    texts = {(first, end): "\n".join(lines[first - 1 : end]) for first, end in ends.items()}
    holding = {place: text for place, text in texts.items() if words in text}
    smallest = min((end - first for first, end in holding), default=0)
    places = [(first, end) for first, end in holding if end - first == smallest]
    if len(places) != 1:
        raise LookupError(f"{module}.{function} has {len(places)} statements with {words!r}.")
    return Code(module, places[0][0], textwrap.dedent(holding[places[0]]))


def _statements(scope: ast.AST) -> Iterator[ast.stmt]:
    for node in ast.walk(scope):
        if isinstance(node, ast.stmt) and node is not scope:
            yield node
