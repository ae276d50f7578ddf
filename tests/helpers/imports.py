"""What the tests of the import share: people with accounts at TMDb, and the worker."""

from decimal import Decimal

from movies import details, request_pool
from movies.models import Movie
from ratings.tasks import import_ratings
from ratings.tmdb_sync import limits
from users.models import User


def linked(sandbox, person, username):
    """The User of a person whose TMDb account `username` is linked; its Account is `.account`."""
    account = sandbox.tmdb.add_account(username)
    if not person.private_chat():
        person.send("/start")
    user, _created = User.objects.get_or_create(pk=person.id, defaults={"language": "ru"})
    user.connect(account.id, sandbox.tmdb.session_for(account))
    user.account, user.person = account, person  # type: ignore[attr-defined]
    return user


def rate(account, films):
    for number, film in enumerate(films):
        account.rate(film, (number % 20 + 1) / 2)


def sync(user):
    """What /sync does, and the work of the worker until no user is queued."""
    User.objects.filter(pk=user.pk).queue_import()
    work(user)


def work(user=None):
    import_ratings(user and user.pk)
    for _slice in range(50):
        if not User.objects.awaiting_import().exists():
            break
        import_ratings()
    if user:
        user.refresh_from_db()


def table_of(user):
    """What the table of ratings holds from TMDb."""
    return {rating.movie_id: rating.tmdb_rating for rating in user.ratings.exclude(tmdb_rating=None)}


def at_tmdb(account):
    return {film: Decimal(str(value)) for film, value in account.ratings.items()}


def know(films):
    """Have these films in the table, with details."""
    Movie.objects.bulk_create(
        [Movie(id=film, title=f"Фильм {film}", details_at=1, search_text=f"фильм {film}") for film in films],
        batch_size=2000,
    )


def asked_for(sandbox, films):
    """How often TMDb was asked for the details of these films, whatever it answered."""
    return sum(len(sandbox.tmdb.requests_of(f"/movie/{film}")) for film in films)


def hurry(monkeypatch):
    """Pauses a fiftieth as long, so that a test sees many; what follows from them stays as it is."""
    for module, names in {
        limits: (
            "FIRST_RETRY_SECONDS",
            "MAX_RETRY_SECONDS",
            "MAX_IDLE_SECONDS",
            "POLL_SECONDS",
            "LOOK_SECONDS",
        ),
        request_pool: ("FIRST_PROBE_SECONDS", "SERVICE_DOWN_SECONDS", "DRAIN_SECONDS"),
        details: ("POLL_SECONDS", "BATCH_SECONDS"),
    }.items():
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name) / 50)
    monkeypatch.setattr(details, "FIRST_RETRIES_SECONDS", (0, 0, 0))
    monkeypatch.setattr(limits, "RETRY_IMPORT_SECONDS", 0)
