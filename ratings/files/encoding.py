"""Which encoding a text file is in."""

from __future__ import annotations

import codecs
import re

import charset_normalizer

from ratings.files.rows import ParseError

CHUNK_BYTES = 65536
SAMPLE_BYTES = 2**18
CYRILLIC = ["cp1251", "cp866", "koi8-r", "mac-cyrillic"]
# Russian letters, the most frequent first: a file of ten titles is too short for a detector of all languages
BY_FREQUENCY = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфёъ"
WEIGHTS = {letter: 1 - rank / len(BY_FREQUENCY) for rank, letter in enumerate(BY_FREQUENCY)}
PUNCTUATION = set("«»„“”‘’—–…№·•\xa0")
MIN_SCORE = 0.3  # a letter, from which on a text is Russian


def encoding_of(content: bytes) -> str:
    """The name of the encoding of a file. Raises ParseError for what is no text."""
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in content:
        # the plain letters of a header have a zero for one of their two bytes, always the same
        even, odd = content[:400:2].count(0), content[1:400:2].count(0)
        if bool(even) == bool(odd):
            raise ParseError("no_text")
        return "utf-16-le" if odd else "utf-16-be"
    broken, foreign = utf8_letters(content)
    if broken * 20 <= foreign:  # a letter cut in half here and there does not make another encoding
        return "utf-8-sig"
    words = b" ".join(re.findall(rb"[\x80-\xff][\w\x80-\xff]*", content[:SAMPLE_BYTES]))
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", words)]
    if 2 * sum(run for run in runs if run > 1) < sum(runs):  # in French or German such letters stand alone
        return "cp1252"
    score, encoding = max((russian_score(words.decode(name, "replace")), name) for name in CYRILLIC)
    if score >= MIN_SCORE:
        return encoding
    best = charset_normalizer.from_bytes(content[:SAMPLE_BYTES]).best()
    return best.encoding if best else "cp1251"


def russian_score(text: str) -> float:
    """How much a text looks like Russian: 1 would be its most frequent letter alone, below 0 anything else."""
    score = letters = 0.0
    previous = " "
    for letter in text:
        if not letter.isascii() and letter not in PUNCTUATION:
            letters += 1
            if letter.islower() or not previous.islower():
                score += WEIGHTS.get(letter.lower(), -1)
            else:
                score -= 1  # a capital within a word
        previous = letter
    return score / (letters or 1)


def utf8_letters(content: bytes) -> tuple[int, int]:
    """(places that are no UTF-8, letters beyond ASCII) of a file read as UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    broken = foreign = 0
    for start in range(0, len(content), CHUNK_BYTES):
        text = decoder.decode(content[start : start + CHUNK_BYTES])
        if not text.isascii():
            broken += text.count("\ufffd")
            foreign += len(text) - len(text.encode("ascii", "ignore"))
    return broken, foreign
