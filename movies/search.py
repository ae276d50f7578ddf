"""Which movies a search ranks, so that it costs the same among three hundred movies and among 300,000.

Candidates are movies of exactly this title, the best known movies that contain the words, and movies that contain them
as words or as beginnings of words. Each kind comes from an index and has a limit, and none is read once those before
it have given enough: a word that a tenth of all titles contain costs no more than a rare one.

PostgreSQL finds words by an index of its text search, SQLite by a table of FTS5 that triggers keep up to date.
"""

# ruff: noqa: S608, S611 - only constants are put into the SQL; what users type is passed as values
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import BooleanField, Q
from django.db.models.expressions import RawSQL

MAX_BEST_KNOWN = 1000  # movies, by votes (of the year asked for), whose titles are searched for words in any place
MAX_CANDIDATES = 100  # twice what a search shows
MAX_RANKED = 3000  # movies with the same words that are ordered by their votes
SHORT_WORD = 2  # letters; such a word is looked for at the beginnings of words only

# What the indexes movies_by_title and movies_by_word hold; neither takes a text of any length.
TITLES_SQL = "string_to_array(\"left\"(movies.search_text, 500), '|')"
WORDS_SQL = "to_tsvector('simple'::regconfig, \"left\"(movies.search_text, 2000))"
EXACT_TITLE_SQL = f"{TITLES_SQL} @> ARRAY[%s]"
FTS_SQL = "movies.id IN (SELECT rowid FROM movies_by_word WHERE movies_by_word MATCH %s)"

SQLITE_INDEX = [
    "CREATE VIRTUAL TABLE IF NOT EXISTS movies_by_word USING fts5(search_text, content='movies', content_rowid='id',"
    " detail='none', prefix='1 2 3', tokenize='unicode61 remove_diacritics 0')",
    "CREATE TRIGGER movies_word_insert AFTER INSERT ON movies BEGIN"
    " INSERT INTO movies_by_word (rowid, search_text) VALUES (new.id, new.search_text); END",
    "CREATE TRIGGER movies_word_delete AFTER DELETE ON movies BEGIN"
    " INSERT INTO movies_by_word (movies_by_word, rowid, search_text) VALUES ('delete', old.id, old.search_text); END",
    "CREATE TRIGGER movies_word_update AFTER UPDATE OF search_text ON movies"
    " WHEN old.search_text IS NOT new.search_text BEGIN"
    " INSERT INTO movies_by_word (movies_by_word, rowid, search_text) VALUES ('delete', old.id, old.search_text);"
    " INSERT INTO movies_by_word (rowid, search_text) VALUES (new.id, new.search_text); END",
    "INSERT INTO movies_by_word (movies_by_word) VALUES ('rebuild')",
    "CREATE INDEX IF NOT EXISTS movies_by_votes ON movies (vote_count DESC)",
    "CREATE INDEX IF NOT EXISTS movies_by_year_and_votes ON movies (year, vote_count DESC)",
]

Groups = Sequence[Iterable[str]]  # for each word typed, the words it may stand for; one that ends with * is a beginning


class Sql(NamedTuple):
    """A statement, or a condition of one, with the values of its placeholders."""

    text: str
    values: list[str | int]


def make_sqlite_index(**_signal: Any) -> None:
    """Make SQLite's index of words after a migration: Django drops a table's triggers where it rebuilds the table."""
    if connection.vendor != "sqlite" or "movies" not in connection.introspection.table_names():
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name GLOB 'movies_word_*'")
        if cursor.fetchone()[0] == 3:
            return
        for name in ("insert", "delete", "update"):
            cursor.execute(f"DROP TRIGGER IF EXISTS movies_word_{name}")
        for statement in SQLITE_INDEX:
            cursor.execute(statement)


def exact_title(words: str) -> Q:
    """Movies with a title of these words and no others."""
    if connection.vendor == "postgresql":
        # no text but our own is put into the SQL
        return Q(RawSQL(EXACT_TITLE_SQL, [words], BooleanField()))  # nosec
    return Q(search_text=words) | Q(search_text__startswith=f"{words}|") | Q(search_text__endswith=f"|{words}")


def exact_title_sql(words: str) -> Sql:
    """exact_title as a condition that an index answers."""
    if connection.vendor == "postgresql":
        return Sql(EXACT_TITLE_SQL, [words])
    if not _are_words(words.split()):  # of no letter or digit: no index holds it, and LIKE may read it as a wildcard
        return Sql("instr('|' || search_text || '|', %s) > 0", [f"|{words}|"])
    condition = "(search_text = %s OR search_text LIKE %s OR search_text LIKE %s)"
    values: list[str | int] = [words, f"{words}|%", f"%|{words}"]
    return Sql(f"({FTS_SQL} AND {condition})", [_match([[word] for word in words.split()]), *values])


def candidates(words: str, year: int | None = None) -> Q:
    """The movies worth ranking for these words, of this year where one is given."""
    parts, of_year = words.split(), [Sql("year = %s", [year])] if year else []
    known = _select("id, search_text FROM movies", *of_year)
    best_known = f"({known.text} ORDER BY vote_count DESC LIMIT {MAX_BEST_KNOWN}) AS best_known"
    typed = [*(_contains(part, is_complete=True) for part in parts[:-1]), *map(_contains, parts[-1:])]
    anywhere = _select(f"id FROM {best_known}", *typed)
    sources = [
        _top_matches(exact_title_sql(words), *of_year),
        Sql(anywhere.text, known.values + anywhere.values),
    ]
    if _are_words(parts):
        sources.append(_top_matches(_with_words([[part] for part in parts]), *of_year))
        begun = [_with_words([[f"{part}*"] for part in parts])]
        if len(parts) > 1:  # several words that are a title were typed to their end
            exact = exact_title_sql(words)
            begun.append(Sql(f"NOT (SELECT EXISTS (SELECT 1 FROM movies WHERE {exact.text}))", exact.values))
        sources.append(_top_matches(*begun, *of_year))
    # the database begins with a part of a UNION ALL only when those before it have not filled the LIMIT
    union = " UNION ALL ".join(f"SELECT id FROM ({source.text}) AS source" for source in sources)
    return _any_of(
        Sql(f"SELECT id FROM ({union}) AS found LIMIT {MAX_CANDIDATES}", [v for s in sources for v in s.values])
    )


def containing_any(groups: Groups, year: int | None = None) -> Q:
    """The best known movies that contain, for each word typed, one of those it may stand for."""
    of_year = [Sql("year = %s", [year])] if year else []
    return _any_of(_top_matches(_with_words(groups), *of_year))


def titled_any(titles: Sequence[str]) -> Q:
    """Movies with one of these titles, which are words."""
    found = [_top_matches(exact_title_sql(title)) for title in titles]
    union = " UNION ALL ".join(f"SELECT id FROM ({one.text}) AS titled" for one in found)
    return _any_of(Sql(union, [value for one in found for value in one.values])) if found else Q(pk__in=())


def _any_of(ids: Sql) -> Q:
    # no text but our own is put into the SQL
    return Q(pk__in=RawSQL(ids.text, ids.values))  # nosec


def _are_words(parts: Sequence[str]) -> bool:
    return all(re.fullmatch(r"\w+", part) for part in parts)


def _contains(part: str, is_complete: bool = False) -> Sql:
    """`is_complete`: another word was typed after it, so that a short one is no beginning of a longer."""
    position = "strpos" if connection.vendor == "postgresql" else "instr"
    if len(part) > SHORT_WORD:
        return Sql(f"{position}(search_text, %s) > 0", [part])
    wanted = f" {part} " if is_complete else f" {part}"
    return Sql(f"{position}(' ' || replace(search_text, '|', ' ') || ' ', %s) > 0", [wanted])


def _with_words(groups: Groups) -> Sql:
    if connection.vendor == "postgresql":
        return Sql(f"{WORDS_SQL} @@ to_tsquery('simple', %s)", [_tsquery(groups)])
    return Sql(FTS_SQL, [_match(groups)])


def _tsquery(groups: Groups) -> str:
    """The words in the language of PostgreSQL's text search."""
    quoted = ([f"'{word[:-1]}':*" if word.endswith("*") else f"'{word}'" for word in group] for group in groups)
    return " & ".join(f"({' | '.join(group)})" for group in quoted)


def _match(groups: Groups) -> str:
    """The words in the language of SQLite's FTS5."""
    quoted = ([f'"{word[:-1]}"*' if word.endswith("*") else f'"{word}"' for word in group] for group in groups)
    return " AND ".join(f"({' OR '.join(group)})" for group in quoted)


def _top_matches(*conditions: Sql) -> Sql:
    """The ids of the movies with the most votes that meet the conditions."""
    matching, values = _select("id, vote_count FROM movies", *conditions)
    limited = f"({matching} LIMIT {MAX_RANKED}) AS matching"
    return Sql(f"SELECT id FROM {limited} ORDER BY vote_count DESC, id LIMIT {MAX_CANDIDATES}", values)


def _select(what: str, *conditions: Sql) -> Sql:
    where = " AND ".join(condition.text for condition in conditions) or "true"
    return Sql(f"SELECT {what} WHERE {where}", [value for condition in conditions for value in condition.values])
