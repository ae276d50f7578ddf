"""Texts as Telegram reads them: HTML into text and entities, lengths in UTF-16 code units.

Bot API: "Formatting options" and MessageEntity; the wording of the errors is the real service's.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

Entity = dict[str, Any]

TAGS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
    "a": "text_link",
    "tg-emoji": "custom_emoji",
}
NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}  # the only names Telegram knows
FOUND = re.compile(
    r"(?P<url>https?://[^\s<>\"]+[^\s<>\".,:;!?)'])"
    r"|(?<![\w/@.<>])(?P<bot_command>/[A-Za-z0-9_]{1,64}(?:@[A-Za-z]\w{3,31})?)(?![\w/<>])"
    r"|(?<![\w/.])(?P<mention>@[A-Za-z]\w{3,31})"
    r"|(?<!\w)(?P<hashtag>#\w*[^\W\d]\w*)"
)
TAG_NAME = re.compile(r"<([^\s>]*)")
ATTRIBUTE_NAME, UNQUOTED = re.compile(r"[^\s=>]*"), re.compile(r"[A-Za-z0-9.-]*")


class EntityError(ValueError):
    """What is wrong with the markup, in Telegram's words."""


def utf16(text: str) -> int:
    """The length Telegram counts: UTF-16 code units, so most emoji are two."""
    return len(text.encode("utf-16-le")) // 2


def cut16(text: str, offset: int, length: int) -> str:
    """The piece of a text an entity speaks of."""
    return text.encode("utf-16-le")[offset * 2 : (offset + length) * 2].decode("utf-16-le", "replace")


def _decode(text: str, at: int) -> tuple[str, int]:
    """(character, next position) of the HTML entity at `at`; an unknown one is text, as in Telegram."""
    match = re.compile(r"&(?:#x([0-9a-fA-F]+)|#([0-9]+)|([a-z]+));?").match(text, at)
    if match:
        hexadecimal, decimal, name = match.groups()
        if name:
            if name in NAMED:
                return NAMED[name], match.end()
        else:
            code = int(hexadecimal, 16) if hexadecimal else int(decimal)
            if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000:
                return chr(code), match.end()
    return "&", at + 1


def parse_html(source: str) -> tuple[str, list[Entity]]:
    """(text, entities) of a text with parse_mode HTML; EntityError where Telegram would refuse it."""
    out: list[str] = []
    entities: list[Entity] = []
    open_tags: list[tuple[str, int, dict[str, str]]] = []
    position = 0  # in UTF-16 code units of what is out
    at, end = 0, len(source)

    def byte(index: int) -> int:
        return len(source[:index].encode())

    while at < end:
        char = source[at]
        if char == "&":
            char, at = _decode(source, at)
        elif char != "<":
            at += 1
        else:
            begin = at
            at += 1
            if source[at : at + 1] == "/":
                close = source.find(">", at)
                if close < 0:
                    raise EntityError(f"Unclosed end tag at byte offset {byte(begin)}")
                name = source[at + 1 : close].strip().lower()
                at = close + 1
                if not open_tags:
                    raise EntityError(f"Unexpected end tag at byte offset {byte(begin)}")
                tag, offset, extra = open_tags.pop()
                if name and name != tag:
                    raise EntityError(
                        f'Unmatched end tag at byte offset {byte(begin)}, expected "</{tag}>", found "</{name}>"'
                    )
                entity = _entity(tag, extra, "".join(out), offset, position)
                if entity:
                    entities.append(entity)
                continue
            name, attributes, at = _start_tag(source, begin, byte)
            open_tags.append((name, position, attributes))
            continue
        out.append(char)
        position += 2 if ord(char) > 0xFFFF else 1
    if open_tags:
        raise EntityError(f'Can\'t find end tag corresponding to start tag "{open_tags[-1][0]}"')
    entities.sort(key=lambda e: (e["offset"], -e["length"]))
    return "".join(out), entities


def _start_tag(source: str, begin: int, byte: Callable[[int], int]) -> tuple[str, dict[str, str], int]:
    """(name, attributes, position behind) of the start tag at `begin`."""
    match = TAG_NAME.match(source, begin)
    assert match
    name, at = match.group(1).lower(), match.end()
    if at >= len(source):
        raise EntityError(f"Unclosed start tag at byte offset {byte(begin)}")
    if name not in TAGS:
        raise EntityError(f'Unsupported start tag "{name}" at byte offset {byte(begin)}')
    attributes = {}
    while True:
        while at < len(source) and source[at].isspace():
            at += 1
        if at >= len(source):
            raise EntityError(f"Unclosed start tag at byte offset {byte(begin)}")
        if source[at] == ">":
            break
        match = ATTRIBUTE_NAME.match(source, at)
        assert match
        attribute, at = match.group().lower(), match.end()
        if not attribute:
            raise EntityError(f'Empty attribute name in the tag "{name}" at byte offset {byte(begin)}')
        while at < len(source) and source[at].isspace():
            at += 1
        if source[at : at + 1] != "=":
            if name == "blockquote" and attribute == "expandable":
                attributes[attribute] = ""
                continue
            raise EntityError(
                f'Expected equal sign in declaration of an attribute of the tag "{name}" at byte offset {byte(begin)}'
            )
        at += 1
        while at < len(source) and source[at].isspace():
            at += 1
        quote = source[at : at + 1]
        if quote in ("'", '"') and quote:
            at, value = at + 1, []
            while at < len(source) and source[at] != quote:
                if source[at] == "&":
                    char, at = _decode(source, at)
                else:
                    char, at = source[at], at + 1
                value.append(char)
            if at >= len(source):
                raise EntityError(f"Unclosed start tag at byte offset {byte(begin)}")
            at += 1
            attributes[attribute] = "".join(value)
        else:
            match = UNQUOTED.match(source, at)
            assert match
            attributes[attribute], at = match.group(), match.end()
            if at < len(source) and not source[at].isspace() and source[at] != ">":
                raise EntityError(f"Unexpected end of name token at byte offset {byte(begin)}")
    if name == "span" and attributes.get("class") != "tg-spoiler":
        raise EntityError(f'Tag "span" must have class "tg-spoiler" at byte offset {byte(begin)}')
    return name, attributes, at + 1


def _entity(tag: str, attributes: dict[str, str], text: str, offset: int, position: int) -> Entity | None:
    """The entity a closed tag leaves, or None: an empty one, or a link that leads nowhere."""
    if position <= offset:
        return None
    entity: Entity = {"type": TAGS[tag], "offset": offset, "length": position - offset}
    if tag == "a":
        url = attributes.get("href") or cut16(text, offset, position - offset)
        user = re.fullmatch(r"tg://user\?id=(\d+)", url)
        if user:
            return {**entity, "type": "text_mention", "user": {"id": int(user.group(1)), "is_bot": False}}
        if not re.match(r"(https?|tg|ton|mailto|tel):", url):
            if not re.match(r"[\w-]+(\.[\w-]+)+(/|$)", url):
                return None
            url = f"http://{url}"
        return {**entity, "url": url}
    if tag == "tg-emoji":
        return {**entity, "custom_emoji_id": attributes.get("emoji-id", "")}
    if tag == "blockquote" and "expandable" in attributes:
        return {**entity, "type": "expandable_blockquote"}
    return entity


def trim(text: str, entities: Iterable[Entity]) -> tuple[str, list[Entity]]:
    """Telegram trims a message; its entities move along, and those left empty go."""
    stripped = text.strip(" \n\t\r\v\f")
    skipped = utf16(text[: len(text) - len(text.lstrip(" \n\t\r\v\f"))])
    size, kept = utf16(stripped), []
    for entity in entities:
        start = max(entity["offset"] - skipped, 0)
        stop = min(entity["offset"] + entity["length"] - skipped, size)
        if stop > start:
            kept.append({**entity, "offset": start, "length": stop - start})
    return stripped, kept


def find_entities(text: str, known: Iterable[Entity] = ()) -> list[Entity]:
    """Commands, links, mentions and hashtags that Telegram marks by itself, beside the known entities."""
    known = list(known)
    found = list(known)
    for match in FOUND.finditer(text):
        offset = utf16(text[: match.start()])
        length = utf16(match.group())
        solid = ("code", "pre", "text_link", "text_mention")
        if any(
            e["offset"] < offset + length and offset < e["offset"] + e["length"] for e in known if e["type"] in solid
        ):
            continue
        found.append({"type": match.lastgroup, "offset": offset, "length": length})
    return sorted(found, key=lambda e: (e["offset"], -e["length"]))
