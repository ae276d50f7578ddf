"""Douban as browser scripts export it: stars, and all titles of a film in one cell."""

from ratings.files.formats.base import Field, TableFormat
from ratings.files.formats.table import columns
from ratings.files.rows import Scale


def apart(field: Field) -> Field:
    """黑客帝国 / The Matrix: the title and the original one."""

    def read(meaning: str) -> str:
        if meaning not in ("title", "original_title"):
            return field(meaning)
        titles = field("title").split(" / ")
        return titles[0] if meaning == "title" else titles[-1]

    return read


FORMAT = TableFormat("Douban", ("标题", "个人评分"), columns("个人评分"), Scale.FIVE, adapt=apart)
