"""The files in a zip, within bounds."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from ratings.files.rows import ParseError

MAX_MEMBERS = 2000
MAX_UNPACKED_BYTES = 100 * 2**20  # of all members together
# Folders of Letterboxd and of a Mac; Trakt has its watchlist among other lists
IGNORED = re.compile(r"(^|/)(deleted|orphaned|likes|__MACOSX|lists(?!/(lists-)?watchlist\.json$))/|/$|(^|/)\.")
COUNTS_LAST = "ratings.csv"  # of Letterboxd: where it and the diary have one day, it is the present rating


class Member(NamedTuple):
    name: str
    content: bytes


def names_in(content: bytes) -> set[str]:
    """The names of all members. Raises ParseError."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise ParseError("broken_archive") from error
    if len(names) > MAX_MEMBERS:
        raise ParseError("too_long")
    return set(names)


def members_of(content: bytes, unpacked: int) -> Iterator[Member]:
    """The members that may hold films, one after another; `unpacked`: bytes so far. Raises ParseError."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = [info for info in archive.infolist() if not IGNORED.search(info.filename)]
        if unpacked + sum(info.file_size for info in infos) > MAX_UNPACKED_BYTES:
            raise ParseError("too_long")
        for info in sorted(infos, key=lambda info: (info.filename.endswith(COUNTS_LAST), info.filename)):
            if info.flag_bits & 1:
                raise ParseError("locked")
            try:
                yield Member(info.filename, archive.read(info))
            except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError, OSError) as error:
                raise ParseError("broken_archive") from error
