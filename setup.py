"""The Cython extensions and what they link; everything else is in pyproject.toml."""

import re
import subprocess
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, find_packages, setup
from setuptools.command.build_py import build_py

# For field.h: loops over limbs are unrolled, and registers aren't spilled as often.
FASTEST = ["-O3", "-fschedule-insns", "-fsched-pressure"]
VERSION = re.search(r'__version__ = "(.+)"', Path("nym/__init__.py").read_text())


def extension(name: str, *libraries: str, also: tuple[str, ...] = ()) -> Extension:
    """One module of nym/; `also` are its files in C."""
    return Extension(
        f"nym.{name}",
        [f"nym/{name}.pyx", *(f"nym/{file}.c" for file in also)],
        depends=["nym/field.h", "nym/ladders.h"] if also else [],
        libraries=list(libraries),
        # SHA256_* is deprecated in OpenSSL 3, not removed; nym/_ciphers.pyx has the reason.
        define_macros=[("OPENSSL_SUPPRESS_DEPRECATED", "1")],
        extra_compile_args=[*(FASTEST if also else ["-O2"]), "-fstack-protector-strong"],
        # Debugging information has the folder's path, and an id would be made of it.
        extra_link_args=["-Wl,-z,relro,-z,now", "-Wl,--strip-debug", "-Wl,--build-id=none"],
    )


class BuildWithCommit(build_py):
    """What is installed knows its commit."""

    def run(self) -> None:
        """Copy the modules, and write that one."""
        super().run()
        commit = subprocess.check_output([Path("scripts/commit").absolute()], text=True).strip()
        Path(self.build_lib, "nym", "_commit.py").write_text(f'COMMIT = "{commit}"\n')


EXTENSIONS = [
    extension("_curve", "sodium", also=("one_ladder",)),
    extension("_products", "sodium", also=("eight_ladders",)),
    extension("_ciphers", "sodium", "crypto"),
    extension("_sphinx", "sodium", "crypto"),
    extension("_padding"),
    extension("_boxes", "sodium"),
    extension("_secrets", "sodium"),
    extension("_noise", "sodium"),
    extension("_tables"),
    extension("_timers"),
]

setup(
    version=VERSION[1] if VERSION else "",
    packages=find_packages(include=["nym", "nym.*"]),
    include_package_data=False,  # nothing but what runs,
    package_data={  # and pages, and that the library has types
        "nym": ["py.typed"],
        "nym.web": [f"*/*.{kind}" for kind in ("html", "css", "js", "svg")],
    },
    cmdclass={"build_py": BuildWithCommit},
    ext_modules=cythonize(EXTENSIONS, language_level=3),
)
