"""Where the product computes what a screen shows: found in its source when asked for, so that it cannot go stale."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path
from typing import NamedTuple

import smp_lab


class Code(NamedTuple):
    """A statement of the product: its module, its first line counted from 1, and its text."""

    module: str
    line: int
    text: str


def find_code(module: str, function: str, words: str) -> Code:
    """The one simple statement of a function that holds some words.

    The module is read and not imported, nor is a package that it is in: they may need torch. A method is named
    ``Class.method``. Raises `LookupError` if there is no such function, or not one statement of it with these words.
    """
    file = Path(smp_lab.__file__).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")
    source = file.read_text(encoding="utf-8") if file.is_file() else ""
    found: list[ast.AST] = [ast.parse(source)]
    for name in function.split("."):
        found = [node for scope in found for node in ast.iter_child_nodes(scope) if getattr(node, "name", "") == name]
    lines = source.splitlines()
    statements = [
        Code(module, node.lineno, textwrap.dedent("\n".join(lines[node.lineno - 1 : node.end_lineno])))
        for scope in found
        for node in ast.walk(scope)
        if isinstance(node, ast.stmt) and not hasattr(node, "body")
    ]
    holding = [code for code in statements if words in code.text]
    if len(holding) != 1:
        raise LookupError(f"{module}.{function} has {len(holding)} statements with {words!r}.")
    return holding[0]
