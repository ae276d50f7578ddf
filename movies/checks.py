"""System checks: TMDB_API_KEY is set, and TMDb accepts it (`check_services`)."""

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from movies.tmdb import KeyRefused, TMDb, TMDbError

HELP = "Take an API key or read access token from themoviedb.org, Settings, API, and put it into .env."


@register()
def tmdb_key_is_set(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    """TMDB_API_KEY is set."""
    if settings.TMDB_API_KEY:
        return []
    return [Warning("TMDB_API_KEY is missing: films cannot be read from TMDb.", hint=HELP, id="movies.W001")]


@register("services", deploy=True)
def tmdb_key_is_valid(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    """TMDb takes the key."""
    if not settings.TMDB_API_KEY:
        return [Error("TMDB_API_KEY is missing.", hint=HELP, id="movies.E001")]
    try:
        TMDb(background=False).check_key()
    except KeyRefused:
        return [Error("TMDb refuses TMDB_API_KEY.", hint=HELP, id="movies.E002")]
    except TMDbError:
        hint = "Check the network; where TMDb is blocked, HTTPS_PROXY helps. Work goes on by itself when it answers."
        return [Warning("TMDb cannot be reached at TMDB_API_URL.", hint=hint, id="movies.W002")]
    return []
