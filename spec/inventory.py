"""Writes what comes with the one file: a CycloneDX list of what is in it, and all licences."""

import hashlib
import os
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import licences
import parts
from contents import Files
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6


def write(packed: Mapping[str, Files], dist: Path) -> None:
    """Write a list for each program, and one page of licences; `packed` has their sources."""
    found = {name: parts.find(sources) for name, sources in packed.items()}
    (dist / "LICENSES.txt").write_text(licences.page(_all(found)), "utf-8")
    for name, of_program in found.items():
        (dist / f"{name}.cdx.json").write_text(_list(of_program, dist / name), "utf-8")


def _all(found: Mapping[str, list[parts.Part]]) -> list[parts.Part]:
    """The parts of all programs, each once; most are in several."""
    by_purl = {part.purl: part for of_program in found.values() for part in of_program}
    ours, *others = by_purl.values()
    return [ours, *sorted(others, key=parts.order)]


def _list(found: list[parts.Part], program: Path) -> str:
    """The list as JSON; the same parts always give the same bytes."""
    ours, *others = map(_component, found)
    ours.type = ComponentType.APPLICATION
    ours.hashes = [_hash(program)]
    # A list has a random number and the present time unless they are set. Here the number is made
    # from all that the list says, and the time is that of the commit.
    bom = Bom(components=others, serial_number=uuid.UUID(int=0))
    bom.metadata.component = ours
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        bom.metadata.timestamp = datetime.fromtimestamp(int(epoch), UTC)
    bom.register_dependency(ours, others)
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, _json(bom))
    return _json(bom)


def _json(bom: Bom) -> str:
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _component(part: parts.Part) -> Component:
    assert part.licence  # licences.page has stopped the build otherwise
    purl = str(part.purl)
    return Component(
        name=part.name,
        version=part.version,
        description=part.description,
        licenses=[LicenseFactory().make_from_string(part.licence)],
        purl=part.purl,
        bom_ref=purl,
        properties=[Property(name=name, value=value) for name, value in part.properties.items()],
        components=[_file(name, path, purl) for name, path in part.libraries.items()],
    )


def _file(name: str, path: Path, purl: str) -> Component:
    """A library; the hash is that of the package's file, because the packed one is stripped."""
    return Component(
        type=ComponentType.FILE, name=name, bom_ref=f"{purl}#{name}", hashes=[_hash(path)]
    )


def _hash(path: Path) -> HashType:
    return HashType(
        alg=HashAlgorithm.SHA_256, content=hashlib.sha256(path.read_bytes()).hexdigest()
    )
