"""The Cython extensions and what they link; everything else is in pyproject.toml."""

import re
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, find_packages, setup

VERSION = re.search(r'__version__ = "(.+)"', Path("nym/__init__.py").read_text())


def extension(name: str, *libraries: str) -> Extension:
    """One module of nym/."""
    return Extension(
        f"nym.{name}",
        [f"nym/{name}.pyx"],
        libraries=list(libraries),
        # SHA256_* is deprecated in OpenSSL 3, not removed; docs/architecture.md has the reason.
        define_macros=[("OPENSSL_SUPPRESS_DEPRECATED", "1")],
        extra_compile_args=["-O2", "-fstack-protector-strong"],
        # An id would be made of debugging information, too, which has the folder's path.
        extra_link_args=["-Wl,-z,relro,-z,now", "-Wl,--build-id=none"],
    )


EXTENSIONS = [
    extension("_curve", "sodium"),
    extension("_ciphers", "sodium", "crypto"),
    extension("_sphinx", "sodium", "crypto"),
    extension("_padding"),
]

setup(
    version=VERSION[1] if VERSION else "",
    packages=find_packages(include=["nym", "nym.*"]),
    ext_modules=cythonize(EXTENSIONS, language_level=3),
)
