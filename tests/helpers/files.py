"""Files of ratings in tests: what Anna sends is imported to the end."""

from decimal import Decimal

from movies.models import Movie, normalize_title
from ratings.models import Rating, normalize
from ratings.tasks import import_files
from users.models import SyncStatus, session_cipher

NOW = 1_790_000_000


def sender(anna, handle):
    """send(content): Anna sends a file, and all there is to do is done; returns the message that told of it."""

    def send(content, name="ratings.csv", mime_type="text/csv"):
        content = content.encode() if isinstance(content, str) else content
        anna.send_document(name, content, mime_type)
        handle()
        told = anna.chat[-1]
        import_files()
        return told

    return send


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
