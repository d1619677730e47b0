"""Links the part of the C++ library that the extensions use, for the one file.

Two of them are written in C++, and use thirty of its 6,000 functions. The whole library would be
2.2 MB of memory, and the dynamic linker would look for all of its functions at each start.
"""

import re
from collections import defaultdict
from itertools import chain
from pathlib import Path

from contents import Files, output

LIBRARY = "libstdc++.so.6"
# A symbol that a library needs, and its version; only the C++ library has versions of these names.
_NEEDED = re.compile(r" [Uw] (\S+)@((?:GLIBCXX|CXXABI)_([\d.]+))$", re.MULTILINE)


def link_part(libraries: Files, target: Path) -> None:
    """Write a C++ library that has what these libraries need of it."""
    versions: dict[tuple[str, tuple[int, ...]], set[str]] = defaultdict(set)
    for name, path in libraries.items():
        if name != LIBRARY:
            for symbol, version, number in _NEEDED.findall(output("nm", "--dynamic", path)):
                versions[version, tuple(map(int, number.split(".")))].add(symbol)
    script = target.with_name(f"{target.name}.map")
    script.write_text(
        "HIDDEN { local: *; };\n"
        + "".join(
            f"{version} {{ global: {' '.join(f'{symbol};' for symbol in sorted(symbols))} }};\n"
            for (version, _), symbols in sorted(versions.items())
        )
    )
    symbols = sorted(chain.from_iterable(versions.values()))
    output(
        *("cc", "-shared", "-o", target, f"-Wl,-soname={LIBRARY},--version-script={script}"),
        *("-Wl,--gc-sections,-s,--build-id=none,-z,relro,-z,now", "-l:libstdc++.a"),
        *(f"-Wl,--undefined={symbol}" for symbol in symbols),
        *("-lm", "-lgcc_s"),
    )
