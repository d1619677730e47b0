"""Finds the parts of the one file, each with its version, its licence and its origin.

Every packed file belongs to this project, to a Python distribution, to CPython or to a package of
the system, tried in this order. A file that belongs to none of them stops the build.
"""

import platform
import sys
import sysconfig
from collections import defaultdict
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path

import debian
import licences
from bundle import NAMESPACE
from packageurl import PackageURL

import nym

PROJECT = Path(__file__).resolve().parent.parent
ENVIRONMENT = Path(sys.prefix).resolve()
STDLIB = Path(sysconfig.get_path("stdlib")).resolve()
LIBRARY = sysconfig.get_config_var("INSTSONAME")
OURS, PYTHON, SYSTEM = "nym-client", "CPython", "system"


@dataclass
class Part:
    """Something in the one file that has a version and a licence of its own."""

    name: str
    version: str
    licence: str
    texts: list
    purl: PackageURL
    libraries: dict = field(default_factory=dict)  # {name in the file: path}
    description: str | None = None
    properties: dict = field(default_factory=dict)


def find(sources):
    """All parts, this project first; `sources` is what bundle.make returns."""
    files = _by_owner(sources)
    system = files.pop(SYSTEM) | debian.linked_statically()
    library = files[PYTHON][LIBRARY]
    owners = debian.owners([*system.values(), library])
    packages = defaultdict(dict)
    for name, path in system.items():
        if path not in owners:
            raise SystemExit(
                f"inventory: {path} belongs to no package of this system; install it as a package"
            )
        packages[owners[path]][name] = path
    del files[OURS]
    python = _python(files.pop(PYTHON), owners.get(library))
    others = [_distribution(owner, packed) for owner, packed in files.items()]
    others += [_package(owner, packed) for owner, packed in packages.items()]
    others += [python, *_embedded(sources)]
    return [_ours(), *sorted(others, key=lambda part: part.name.lower())]


def _by_owner(sources):
    """{owner: {name in the file: path}}."""
    installed = _installed()
    files = defaultdict(dict)
    for name, path in sources.items():
        if str(path) != NAMESPACE:
            path = path.resolve()
            files[_owner(name, path, installed)][name] = path
    return files


def _owner(name, path, installed):
    # .venv is inside the project's folder, but what is installed there isn't the project's.
    if path.is_relative_to(PROJECT) and not path.is_relative_to(ENVIRONMENT):
        return OURS
    if path in installed:
        return installed[path]
    return PYTHON if name == LIBRARY or path.is_relative_to(STDLIB) else SYSTEM


def _installed():
    """{path: the Python distribution that has installed it}."""
    return {
        Path(distribution.locate_file("")).resolve() / file: distribution
        for distribution in distributions()
        for file in distribution.files or ()
    }


def _ours():
    return Part(
        OURS,
        nym.__version__,
        licences.of(OURS),
        [licences.read(PROJECT / "LICENSE")],
        PackageURL("generic", name=OURS, version=nym.__version__),
    )


def _python(packed, package):
    version = platform.python_version()
    texts = [licences.read(path) for path in [STDLIB / "LICENSE.txt"] if path.exists()]
    if package:
        part = _package(package, {})
        # Debian repairs faults without changing Python's version. The version of Debian's package
        # tells which faults are repaired, so the package URL has that one.
        purl, texts, properties = part.purl, [*texts, *part.texts], part.properties
    else:
        purl, properties = PackageURL("generic", name="cpython", version=version), {}
    return Part(
        PYTHON, version, licences.of(PYTHON), texts, purl, _libraries(packed), properties=properties
    )


def _distribution(distribution, packed):
    name, version = distribution.metadata["Name"], distribution.version
    return Part(
        name,
        version,
        licences.of(name) or licences.of_metadata(distribution.metadata),
        licences.texts_of(distribution),
        PackageURL("pypi", name=name, version=version),
        _libraries(packed),
        distribution.metadata["Summary"],
    )


def _package(name, libraries):
    package, vendor = debian.Package.named(name), debian.vendor()
    qualifiers = {"arch": package.architecture}
    return Part(
        package.name,
        package.version,
        licences.of(package.source_name),
        [licences.read(path) for path in [package.copyright] if path.exists()],
        PackageURL("deb", vendor, package.name, package.version, qualifiers),
        libraries,
        package.summary,
        {
            f"{vendor}:source": package.source_name,
            f"{vendor}:source-version": package.source_version,
        },
    )


def _embedded(sources):
    """Yield parts that distributions have linked into their extensions without naming them."""
    if "gevent/libev/corecext.so" in sources:
        from gevent.libev import corecext

        yield _kept("libev", corecext.get_version().removeprefix("libev-"))
    if "google/_upb/_message.so" in sources:
        from google.protobuf import __version__

        yield _kept("utf8_range", __version__)  # it has no version of its own


def _kept(name, version):
    texts = [licences.read(PROJECT / f"spec/licenses/{name}.txt")]
    purl = PackageURL("generic", name=name, version=version)
    return Part(name, version, licences.of(name), texts, purl)


def _libraries(packed):
    return {name: path for name, path in packed.items() if ".so" in name}
