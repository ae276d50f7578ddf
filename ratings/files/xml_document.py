"""An XML document as the objects and lists that it would be in JSON."""

from __future__ import annotations

import io
from typing import Any
from xml.etree.ElementTree import Element, ParseError, parse  # nosec B405 - document_of lets no entity pass

from ratings.files import rows

MAX_ELEMENTS = 400_000
MAX_DEPTH = 6


def document_of(content: bytes) -> Any:
    """The document; elements with parts are in lists under their names. Raises rows.ParseError."""
    if content.count(b"<") > 2 * MAX_ELEMENTS:
        raise rows.ParseError("too_long")
    if b"\0" in content or b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise rows.ParseError("no_ratings")
    try:
        return value_of(parse(io.BytesIO(content)).getroot())  # noqa: S314  # nosec B314 - see above
    except (ParseError, ValueError, LookupError):
        raise rows.ParseError("no_ratings") from None


def value_of(element: Element, depth: int = 0) -> Any:
    if depth > MAX_DEPTH or not (len(element) or element.attrib):
        return element.text or ""
    found: dict[str, Any] = dict(element.attrib)
    for child in element:
        value = value_of(child, depth + 1)
        if isinstance(value, dict):
            if not isinstance(found.get(child.tag), list):
                found[child.tag] = []
            found[child.tag].append(value)
        else:
            found.setdefault(child.tag, value)
    return found
