"""Bills of materials in CycloneDX 1.6, and the licence texts of everything that is shipped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import UUID

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from scripts.release.contents import Part


def bill_of_materials(name: str, version: str, parts: Sequence[Part], *, at: datetime, digest: bytes) -> str:
    """Write the bill of one thing that is shipped, as JSON; equal arguments give equal text.

    Args:
        name: What is shipped: ``agentk`` for the Python distribution, ``image agentk`` for an image.
        version: Its version.
        parts: What is in it.
        at: When it was made; the time of the commit, so that it can be made again.
        digest: Of what is shipped, 16 bytes at least; the serial number follows from it.
    """
    kind = ComponentType.CONTAINER if name.startswith("image ") else ComponentType.APPLICATION
    subject = Component(type=kind, name=name.removeprefix("image "), version=version, bom_ref=name)
    bom = Bom(
        serial_number=UUID(bytes=digest[:16], version=4),
        metadata=BomMetaData(component=subject, timestamp=at),
        components=[_component(part) for part in parts],
    )
    bom.register_dependency(subject, bom.components)
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string()
    return json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def licence_texts(title: str, parts: Sequence[Part]) -> str:
    """Put the licence texts of all parts into one document."""
    chapters = [f"{title}\n\nEach part with its version, its licence as its metadata has it, and its texts.\n"]
    for part in parts:
        head = f"{part.name} {part.version} ({part.origin}): {part.licence}"
        chapters.append(f"{'=' * 100}\n{head}\n{'=' * 100}\n")
        chapters += [f"--- {name}\n\n{text.rstrip()}\n" for name, text in part.texts]
    return "\n".join(chapters)


def _component(part: Part) -> Component:
    if part.origin == "deb":
        qualifiers = {"arch": part.architecture}
        url = PackageURL("deb", "debian", part.name, part.version, qualifiers=qualifiers)
    else:
        url = PackageURL("pypi", None, part.name, part.version)
    return Component(
        type=ComponentType.LIBRARY,
        name=part.name,
        version=part.version,
        purl=url,
        bom_ref=url.to_string(),
        licenses=[DisjunctiveLicense(name=part.licence)],
        properties=[Property(name="licence texts", value=str(len(part.texts)))],
    )
