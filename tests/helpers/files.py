"""Films and ratings for tests of imported files."""

import io
import zipfile
from decimal import Decimal

from movies.models import Movie, normalize_title
from ratings.models import Rating, normalize
from users.models import SyncStatus, session_cipher

NOW = 1_790_000_000


def film(movie_id, title, year=None, **what):
    return Movie.objects.create(
        pk=movie_id,
        title=title,
        original_title=what.pop("original_title", title),
        release_date=f"{year}-01-01" if year else None,
        search_text=normalize_title(title),
        **what,
    )


def rated(user, movie_id, here=None, tmdb=None, when=NOW):
    value = Decimal(str(here if here is not None else tmdb))
    return Rating.objects.create(
        user=user,
        movie_id=movie_id,
        manual_rating=here,
        tmdb_rating=tmdb,
        normalized_rating=normalize(value),
        rated_at=when,
        source="tmdb" if here is None else "manual",
    )


def link(user, sandbox):
    session = sandbox.tmdb.session_for("demo")
    user.tmdb_session_id = session_cipher().encrypt(session.encode()).decode()
    user.sync_status = SyncStatus.IMPORTED
    user.save()


def mine(user):
    return {rating.movie_id: rating for rating in Rating.objects.filter(user=user)}


def zipped(**files: str) -> bytes:
    """A zip of files, named as `folder__name_csv`."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_csv", ".csv").replace("_json", ".json"), text)
    return content.getvalue()
