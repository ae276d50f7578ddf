"""Films for everybody else: from the table, else from TMDb, and how an answer of TMDb's becomes a row."""

import re
import time
from dataclasses import dataclass
from datetime import date

from django.conf import settings
from django.core.cache import cache
from django.db.models import Case, IntegerField, Q, Value, When

from movies.models import FROM_THE_START, Movie, PosterNeed, PosterStatus, searchable
from movies.tmdb import NotFound, TMDb, Unavailable

LARGEST_ID = 2**31 - 1  # PostgreSQL's integer
LONGEST_TEXT = 10_000  # characters of a title or overview that are kept

# What a list row (rated, search) tells of a film; details tell the runtime besides.
LIST_FIELDS = [
    "title",
    "original_title",
    "overview",
    "release_date",
    "popularity",
    "vote_average",
    "vote_count",
    "search_text",
]
DETAIL_FIELDS = [*LIST_FIELDS, "runtime", "details_at"]


class Malformed(Unavailable):
    """TMDb answered with something that is no film."""


# --- From an answer to a row


def movie_from(reply, details=False):
    """An unsaved Movie from TMDb's details or list row; the one place where TMDb's quirks are put right.

    An empty `release_date`, a null `poster_path`, a runtime of 0 or null all mean unknown. Raises Malformed.
    """
    if not isinstance(reply, dict) or not _whole(reply.get("id"), 1, LARGEST_ID):
        raise Malformed("a film without an id")
    title, original = _text(reply.get("title")), _text(reply.get("original_title"))
    if not title and not original:
        raise Malformed(f"film {reply['id']}: no title")
    poster_path = _text(reply.get("poster_path"))
    return Movie(
        id=reply["id"],
        title=title or original,
        original_title=original or title,
        overview=_text(reply.get("overview")),
        release_date=_date(reply.get("release_date")),
        runtime=reply["runtime"] if _whole(reply.get("runtime"), 1, 100_000) else None,
        popularity=_number(reply.get("popularity"), 1e9),
        vote_average=_number(reply.get("vote_average"), 10),
        vote_count=reply["vote_count"] if _whole(reply.get("vote_count"), 0, LARGEST_ID) else 0,
        poster_path=poster_path,
        poster_status=PosterStatus.WAITING if poster_path else PosterStatus.NONE,
        details_at=int(time.time()) if details else None,
        search_text=searchable(title, original),
    )


def _text(value):
    """PostgreSQL takes no NUL in a text, and a title of a megabyte is no title."""
    return value.replace("\0", "").strip()[:LONGEST_TEXT] if isinstance(value, str) else ""


def _whole(value, least, most):
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _number(value, most):
    valid = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most
    return float(value) if valid else 0.0


def _date(value):
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def fetch_movie(movie_id, tmdb):
    """An unsaved Movie with details from TMDb, asked for in TMDB_LANGUAGE.

    Where the translation is missing (the title is the original one, the overview is empty) TMDb is asked once more, in
    TMDB_FALLBACK_LANGUAGE, for what is missing. Raises TMDbError.
    """
    reply = tmdb.movie(movie_id)
    movie = movie_from(reply, details=True)
    if movie.id != int(movie_id):
        raise Malformed(f"/movie/{movie_id}: answered with another film")
    if needs_fallback(movie):
        try:
            spare = movie_from(tmdb.movie(movie_id, settings.TMDB_FALLBACK_LANGUAGE), details=True)
        except Unavailable:
            if tmdb.patient:
                raise
            movie.details_at = None  # better an untranslated film now than none; a worker reads it again
            return movie
        fill_gaps(movie, spare)
    return movie


def needs_fallback(movie):
    return movie.title == movie.original_title and not movie.overview


def fill_gaps(movie, spare):
    """Fill what the first language left empty from the film in the fallback language."""
    movie.title = spare.title or movie.title
    for field in ("overview", "release_date", "runtime"):
        if not getattr(movie, field):
            setattr(movie, field, getattr(spare, field))
    if not movie.poster_path and spare.poster_path:
        movie.poster_path, movie.poster_status = spare.poster_path, PosterStatus.WAITING
    movie.search_text = searchable(movie.title, movie.original_title, spare.title)


def save_movies(movies, need=PosterNeed.SOMEDAY):
    """Insert or update films read from TMDb, in one short transaction; their posters' states follow their paths.

    Films with details overwrite everything they carry. Films from list rows are only added: what the table already
    knows of a film, an import's rows never make poorer.
    """
    movies = list({movie.id: movie for movie in movies}.values())
    for movie in movies:
        movie.poster_need = need
    detailed = sorted((m for m in movies if m.details_at), key=lambda m: m.id)
    listed = sorted((m for m in movies if not m.details_at), key=lambda m: m.id)
    if listed:
        Movie.objects.bulk_create(listed, ignore_conflicts=True, batch_size=500)
    if detailed:
        paths = dict(Movie.objects.filter(id__in=[m.id for m in detailed]).values_list("id", "poster_path"))
        Movie.objects.bulk_create(
            detailed, update_conflicts=True, unique_fields=["id"], update_fields=DETAIL_FIELDS, batch_size=500
        )
        for movie in detailed:
            if paths.get(movie.id, movie.poster_path) != movie.poster_path:
                change_poster(movie, need)


def change_poster(movie, need=PosterNeed.SOMEDAY):
    """The film has another poster at TMDb, or none any more; the old file_id serves until the new one is in."""
    stale = Movie.objects.filter(pk=movie.pk).exclude(poster_path=movie.poster_path)
    if movie.poster_path:
        stale.update(**FROM_THE_START | {"poster_path": movie.poster_path, "poster_need": need})
    else:
        uploaded = ~Q(telegram_file_id="")
        stale.exclude(uploaded).update(poster_path="", poster_status=PosterStatus.NONE, local_path="")
        stale.filter(uploaded).update(poster_path="", poster_status=PosterStatus.TELEGRAM, local_path="")


# --- Looking films up

ADDRESS = re.compile(r"(?:themoviedb\.org|tmdb\.org|/)/?movie/(\d{1,10})", re.IGNORECASE)
TITLE_AND_YEAR = re.compile(r"(?P<title>.*\S)[\s,]+\(?(?P<year>(?:18|19|20)\d\d)\)?")
THIN = 5  # fewer films than this, none of them of just this title, and TMDb is asked
ASKED_FOR = 24 * 3600  # seconds for which TMDb is not asked the same again


@dataclass(frozen=True)
class Query:
    """What a person typed to find a film."""

    text: str
    movie_id: int | None = None
    title: str = ""
    year: int | None = None

    @classmethod
    def parse(cls, text):
        """A TMDb id, an address of TMDb's, a title, or a title with a year."""
        text = " ".join(text.replace("\0", "").split())[:200]
        if found := ADDRESS.search(text):
            return cls(text, movie_id=int(found[1]))
        movie_id = int(text) if re.fullmatch(r"[0-9]{1,10}", text) else None
        if found := TITLE_AND_YEAR.fullmatch(text):
            return cls(text, movie_id, found["title"], int(found["year"]))
        return cls(text, movie_id, text)


def get_movie(movie_id, viewer=None):
    """The film with this TMDb id, from the table, else from TMDb and kept; `mine` is the viewer's rating of it.

    Raises TMDbError, NotFound among them.
    """
    if not 0 < movie_id <= LARGEST_ID:
        raise NotFound(f"/movie/{movie_id}: no such id")
    films = Movie.objects.seen_by(viewer)
    movie = films.filter(pk=movie_id).first()
    if movie is None:
        save_movies([fetch_movie(movie_id, TMDb(patient=False))], PosterNeed.ASKED)
        movie = films.get(pk=movie_id)
    return movie


def find_movies(text, viewer=None, ask_tmdb=True):
    """Films for what a person typed, best first, with the viewer's ratings (`mine`); none for an empty text.

    What the table knows is found without TMDb. TMDb is asked, once a day for the same words, where the table's answer
    is thin; what it says is kept. Raises Unavailable where TMDb was needed and could not be asked.
    """
    query = Query.parse(text)
    if query.movie_id and not query.title:
        return [get_movie(query.movie_id, viewer)]
    if not query.title:
        return []
    found = []
    if query.movie_id:
        try:
            found = [get_movie(query.movie_id, viewer)]
        except NotFound:
            pass
    known = search_table(query, viewer)
    if ask_tmdb and not found and is_thin(known, query) and ask_once(query):
        known = search_table(query, viewer)
    if not known and query.year:  # "Blade Runner 2049": the year belongs to the title
        query = Query(query.text, title=query.text)
        known = search_table(query, viewer)
        if ask_tmdb and is_thin(known, query) and ask_once(query):
            known = search_table(query, viewer)
    if found:  # a number: of its titles only those that are just this number
        known = [movie for movie in known if movie.pk != found[0].pk and is_title(movie, query)]
    return found + known


def search_table(query, viewer=None, most=50):
    """Films of the table whose titles hold the words of the query, in any script and case; best first."""
    words = searchable(query.title)
    films = Movie.objects.seen_by(viewer)
    for word in words.split():
        films = films.filter(search_text__contains=word)
    if query.year:
        films = films.filter(year=query.year)
    exact = Q(search_text=words) | Q(search_text__startswith=f"{words}|") | Q(search_text__endswith=f"|{words}")
    closeness = Case(
        When(exact, then=Value(0)),
        When(Q(search_text__startswith=words) | Q(search_text__contains=f"|{words}"), then=Value(1)),
        When(search_text__contains=words, then=Value(2)),
        default=Value(3),
        output_field=IntegerField(),
    )
    return list(films.order_by(closeness, "-vote_count", "-popularity", "id")[:most])


def is_title(movie, query):
    return searchable(query.title) in movie.search_text.split("|")


def is_thin(movies, query):
    return len(movies) < THIN and not any(is_title(movie, query) for movie in movies)


def ask_once(query):
    """Ask TMDb for films of this title and keep them; False where it was asked within the last day."""
    key = f"search:{searchable(query.title).encode().hex()[:180]}:{query.year or ''}"
    if cache.get(key):
        return False
    rows = TMDb(patient=False).search(query.title, query.year).get("results")
    movies = []
    for row in rows if isinstance(rows, list) else []:
        try:
            movies.append(movie_from(row))
        except Unavailable:
            continue  # one odd row hides no other
    save_movies(movies)
    cache.set(key, True, ASKED_FOR)
    return True
