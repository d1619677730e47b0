"""Writes two files beside the one file: a CycloneDX list of what is in it, and all licences."""

import hashlib
import os
import uuid
from datetime import UTC, datetime

import licences
import parts
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6


def write(sources, dist):
    """Write both files; `sources` is what bundle.make returns."""
    found = parts.find(sources)
    (dist / "LICENSES.txt").write_text(licences.page(found), "utf-8")
    (dist / "nym-client.cdx.json").write_text(_list(found, dist / "nym-client"), "utf-8")


def _list(found, program):
    """The list as JSON; the same parts always give the same bytes."""
    ours, *others = map(_component, found)
    ours.type = ComponentType.APPLICATION
    ours.hashes = [_hash(program)]
    # A list has a random number and the present time unless they are set. Here the number is made
    # from all that the list says, and the time is that of the commit.
    bom = Bom(components=others, serial_number=uuid.UUID(int=0))
    bom.metadata.component = ours
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    bom.metadata.timestamp = datetime.fromtimestamp(int(epoch), UTC) if epoch else None
    bom.register_dependency(ours, others)
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, _json(bom))
    return _json(bom)


def _json(bom):
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _component(part):
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


def _file(name, path, purl):
    """A library; the hash is that of the package's file, because the packed one is stripped."""
    return Component(
        type=ComponentType.FILE, name=name, bom_ref=f"{purl}#{name}", hashes=[_hash(path)]
    )


def _hash(path):
    return HashType(
        alg=HashAlgorithm.SHA_256, content=hashlib.sha256(path.read_bytes()).hexdigest()
    )
