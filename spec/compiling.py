"""Compiles the modules of the one file, so that they take less memory than usual.

What runs is the same code, and its tracebacks name the same lines. These parts are left out or made
smaller:

- docstrings and asserts, as with `python -OO`, and the columns of everything in a line
- annotations of functions and of modules: type checkers read them, and programs don't
- the tables of lines: CPython 3.11 writes an entry for each instruction, and here there is one for
  all that follow each other in a line
- equal constants: a module has each only once
"""

import ast
import marshal
import os
from itertools import groupby
from operator import itemgetter
from types import CodeType

from sharing import shared

# What reads annotations of functions while the program runs. A module that names one keeps its own.
_READERS = ("singledispatch", "get_type_hints", "get_annotations", "__annotations__")
# An entry in a table of lines (CPython's Objects/locations.md): its first byte has the kind of the
# entry, and how many units of code it is for, less one.
_NO_COLUMNS, _NO_LINE = 0x80 | 13 << 3, 0x80 | 15 << 3
_MOST_UNITS = 8
_UNIT = 2  # bytes


def compiled(name: str, source: bytes) -> bytes:
    """The module's code, in Python's marshal format; `name` is the path that tracebacks show.

    A path of the machine that builds the file would tell about that machine, and two builds of one
    commit would differ.
    """
    if not os.environ.get("PYTHONNODEBUGRANGES"):
        raise SystemExit("modules are compiled with PYTHONNODEBUGRANGES=1")
    tree = ast.parse(source, name)
    if not any(reader.encode() in source for reader in _READERS):
        tree = _WithoutAnnotations().visit(tree)
    code = compile(tree, name, "exec", dont_inherit=True, optimize=2)
    return shared(marshal.dumps(_with_short_tables(code)))


class _WithoutAnnotations(ast.NodeTransformer):
    """Removes annotations, except for those in the body of a class, which may define its fields."""

    def __init__(self) -> None:
        self._in_module = True

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._inside(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self._inside(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self._inside(node)

    def _inside(self, node: ast.AST) -> ast.AST:
        in_module, self._in_module = self._in_module, False
        self.generic_visit(node)
        self._in_module = in_module
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if not self._in_module:  # a function doesn't keep the annotations of its variables
            return node
        plain = ast.Assign([node.target], node.value) if node.value else ast.Pass()
        return ast.copy_location(plain, node)


def _with_short_tables(code: CodeType) -> CodeType:
    """The same code, and in it that of functions and classes, with one entry for each line."""
    return code.replace(
        co_linetable=_line_table(code),
        co_consts=tuple(
            _with_short_tables(constant) if isinstance(constant, CodeType) else constant
            for constant in code.co_consts
        ),
    )


def _line_table(code: CodeType) -> bytes:
    table, before = bytearray(), code.co_firstlineno
    for line, pieces in groupby(code.co_lines(), key=itemgetter(2)):
        units = sum(end - start for start, end, _ in pieces) // _UNIT
        while units:
            taken = min(units, _MOST_UNITS)
            units -= taken
            if line is None:
                table.append(_NO_LINE | taken - 1)
            else:
                table.append(_NO_COLUMNS | taken - 1)
                table += _signed(line - before)
                before = line
    return bytes(table)


def _signed(number: int) -> bytes:
    """A number in six bits per byte, the lowest first; the lowest of all is the sign."""
    rest = -number << 1 | 1 if number < 0 else number << 1
    encoded = bytearray()
    while rest >= 64:
        encoded.append(64 | rest & 63)
        rest >>= 6
    return bytes([*encoded, rest])
