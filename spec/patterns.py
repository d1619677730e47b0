"""Finds the regular expressions that the program compiles while its modules are imported.

The one file has them compiled, as it has the modules: to compile them takes a twelfth of a client's
start. `python spec/patterns.py MODULE...` imports these modules, and writes, in Python's marshal
format, {(pattern, flags): the other arguments of _sre.compile}. What isn't in it is compiled when
it is needed.
"""

import marshal
import sys
from importlib import import_module
from re import _compiler  # type: ignore[attr-defined] # known to no type checker
from typing import Any

_sre, _compile = _compiler._sre, _compiler.compile


class _Noting:
    """Stands for _sre in the compiler, and keeps the arguments of its `compile`."""

    arguments: tuple[Any, ...] = ()

    def compile(self, *arguments: Any) -> Any:
        """See _compiler."""
        self.arguments = arguments
        return _sre.compile(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(_sre, name)


def found(modules: list[str]) -> dict[tuple[str | bytes, int], tuple[Any, ...]]:
    """The regular expressions that are compiled when these modules are imported."""
    patterns, noting = {}, _Noting()

    def compile(pattern: Any, flags: int = 0) -> Any:
        compiled = _compile(pattern, flags)
        _, its_flags, code, *groups = noting.arguments
        patterns[pattern, int(flags)] = int(its_flags), [*map(int, code)], *groups
        return compiled

    _compiler._sre, _compiler.compile = noting, compile
    try:
        for module in modules:
            import_module(module)
    finally:
        _compiler._sre, _compiler.compile = _sre, _compile
    return patterns


if __name__ == "__main__":
    sys.stdout.buffer.write(marshal.dumps(found(sys.argv[1:])))
