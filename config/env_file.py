"""`.env`: lines of NAME=value as people write them; one that cannot be read is never passed over."""

import codecs
import re
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

BLANK = re.compile(r"\s*(?:#.*)?")
# `#` begins a comment after a space only: passwords hold it. Typographic quotes are no part of a value.
ASSIGNMENT = re.compile(
    r"""\s*(?:export\s+)?(?P<name>[A-Za-z_]\w*)\s*=\s*
    (?: '(?P<single>[^']*)' | "(?P<double>(?:[^"\\]|\\.)*)" | (?P<plain>(?<==)\#.*?|[^\s\#'"“”„‘’«»].*?) )?
    (?:\s+\#.*)?\s*""",
    re.ASCII | re.VERBOSE,
)


def read_env_file(path: Path, missing_ok: bool) -> dict[str, str]:
    """The variables of a file in UTF-8, or in UTF-16 as Windows writes it.

    Raises ImproperlyConfigured, which names the number of a line that cannot be read and never shows it: it may be a
    token.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if missing_ok:
            return {}
        raise ImproperlyConfigured(f"ENV_FILE must be a file, and {path} is not there.") from None
    except OSError as error:
        raise ImproperlyConfigured(f"{path} cannot be read: {error.strerror}.") from None
    utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if utf_16 else "utf-8-sig", errors="replace")
    found = {}
    for number, line in enumerate(re.split("\r\n|\r|\n", text), 1):
        if BLANK.fullmatch(line):
            continue
        match = ASSIGNMENT.fullmatch(line)
        if not match or not _is_readable(value := _value(match)):
            raise ImproperlyConfigured(f"Line {number} of {path} cannot be read: it must be NAME=value.")
        found[match["name"]] = value
    return found


def _value(match: re.Match[str]) -> str:
    """What stands after the =, without its quotes; in double ones a backslash does what it does in a shell."""
    if match["double"] is not None:
        return re.sub(r'\\(["\\$`])', r"\1", match["double"])
    return match["single"] or match["plain"] or ""


def _is_readable(value: str) -> bool:
    """Whether all of a value was decoded and can be seen: what a copied token hides would make it a wrong one."""
    return "\ufffd" not in value and value.replace("\t", " ").isprintable()
