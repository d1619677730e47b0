"""The two Cython extensions and what they link; everything else is in pyproject.toml."""

import re
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, find_packages, setup

VERSION = re.search(r'__version__ = "(.+)"', Path("nym/__init__.py").read_text())

EXTENSIONS = [
    Extension(
        "nym._sphinx",
        ["nym/_sphinx.pyx"],
        libraries=["sodium", "crypto"],
        # SHA256_* is deprecated in OpenSSL 3, not removed: it alone lets HMAC keep its two
        # half-done states on the stack, which is four times as fast as EVP_MAC here.
        define_macros=[("OPENSSL_SUPPRESS_DEPRECATED", "1")],
        extra_compile_args=["-O2", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2"],
        extra_link_args=["-Wl,-z,relro,-z,now"],
    ),
    Extension("nym._padding", ["nym/_padding.pyx"], extra_compile_args=["-O2"]),
]

setup(
    version=VERSION[1] if VERSION else "",
    packages=find_packages(include=["nym", "nym.*"]),
    ext_modules=cythonize(EXTENSIONS, language_level=3),
)
