"""Finds the parts of the one file, each with its version, its licence and its origin.

Every packed file belongs to this project, to a Python distribution, to CPython or to a package of
the system, tried in this order. A file that belongs to none of them stops the build.
"""

import platform
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distributions
from pathlib import Path

import debian
import licences
from contents import NAMESPACE, Files
from packageurl import PackageURL

import nym

PROJECT = Path(__file__).resolve().parent.parent
ENVIRONMENT = Path(sys.prefix).resolve()
STDLIB = Path(sysconfig.get_path("stdlib")).resolve()
LIBRARY = str(sysconfig.get_config_var("INSTSONAME"))
OURS, PYTHON, SYSTEM = "nym-client", "CPython", "system"


@dataclass
class Part:
    """Something in the one file that has a version and a licence of its own."""

    name: str
    version: str
    licence: str | None  # licences.py stops the build if there is none
    texts: list[str]
    purl: PackageURL
    libraries: Files = field(default_factory=dict)  # {name in the file: path}
    description: str | None = None
    properties: dict[str, str] = field(default_factory=dict)


def order(part: Part) -> str:
    """The key by which parts are sorted."""
    return part.name.lower()


def find(sources: Files) -> list[Part]:
    """All parts, this project first; `sources` is what bundle.make or standard.make returns."""
    files, distributed = _by_owner(sources)
    system = files.pop(SYSTEM)
    if "importer.py" in sources:  # it comes with the launcher
        system |= debian.linked_statically()
    library = files[PYTHON][LIBRARY]
    owners = debian.owners([*system.values(), library])
    packages: dict[str, Files] = defaultdict(dict)
    for name, path in system.items():
        if path not in owners:
            raise SystemExit(
                f"inventory: {path} belongs to no package of this system; install it as a package"
            )
        packages[owners[path]][name] = path
    python = _python(files.pop(PYTHON), owners.get(library))
    others = [_distribution(owner, packed) for owner, packed in distributed.items()]
    others += [_package(owner, packed) for owner, packed in packages.items()]
    others += [python, *_embedded(sources)]
    return [_ours(), *sorted(others, key=order)]


def _by_owner(sources: Files) -> tuple[dict[str, Files], dict[Distribution, Files]]:
    """({OURS, PYTHON or SYSTEM: {name in the file: path}}, the same for each distribution)."""
    installed = _installed()
    files: dict[str, Files] = defaultdict(dict)
    distributed: dict[Distribution, Files] = defaultdict(dict)
    for name, path in sources.items():
        if str(path) == NAMESPACE:
            continue
        path = path.resolve()
        # .venv is inside the project's folder, but what is installed there isn't the project's.
        if path.is_relative_to(PROJECT) and not path.is_relative_to(ENVIRONMENT):
            files[OURS][name] = path
        elif path in installed:
            distributed[installed[path]][name] = path
        elif name == LIBRARY or path.is_relative_to(STDLIB):
            files[PYTHON][name] = path
        else:
            files[SYSTEM][name] = path
    return files, distributed


def _installed() -> dict[Path, Distribution]:
    """{path: the Python distribution that has installed it}."""
    return {
        Path(str(distribution.locate_file(""))).resolve() / file: distribution
        for distribution in distributions()
        for file in distribution.files or ()
    }


def _ours() -> Part:
    return Part(
        OURS,
        nym.__version__,
        licences.of(OURS),
        [licences.read(PROJECT / "LICENSE")],
        PackageURL("generic", name=OURS, version=nym.__version__),
    )


def _python(packed: Files, package: str | None) -> Part:
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


def _distribution(distribution: Distribution, packed: Files) -> Part:
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


def _package(name: str, libraries: Files) -> Part:
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


def _embedded(sources: Files) -> Iterator[Part]:
    """Yield parts that are inside others: linked into their extensions, or a page's."""
    if "gevent/libev/corecext.so" in sources:
        from gevent.libev import corecext

        yield _kept("libev", corecext.get_version().removeprefix("libev-"))
    if "google/_upb/_message.so" in sources:
        from google.protobuf import __version__

        yield _kept("utf8_range", __version__)  # it has no version of its own
    if plots := sources.get("nym/web/vendor/uplot.min.js"):
        first_line = plots.read_text().partition("\n")[0]
        yield _kept("uPlot", first_line.partition("(v")[2].partition(")")[0])


def _kept(name: str, version: str) -> Part:
    texts = [licences.read(PROJECT / f"spec/licenses/{name}.txt")]
    purl = PackageURL("generic", name=name, version=version)
    return Part(name, version, licences.of(name), texts, purl)


def _libraries(packed: Files) -> Files:
    return {name: path for name, path in packed.items() if ".so" in name}
