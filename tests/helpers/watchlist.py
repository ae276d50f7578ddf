"""Lists of films to see as the tests make and read them."""

from ratings.models import WatchlistEntry
from users.models import SyncStatus, User, session_cipher


def wanted_by(user_id):
    """The ids of the films on a user's list, in order."""
    return sorted(WatchlistEntry.objects.filter(user_id=user_id).values_list("movie_id", flat=True))


def link(person, sandbox, account="empty"):
    """The person's row, linked with this account at TMDb, whose ratings have been imported."""
    session = sandbox.tmdb.session_for(account)
    values = {
        "language": person.language_code,
        "tmdb_account_id": sandbox.tmdb.account(account).id,
        "tmdb_session_id": session_cipher().encrypt(session.encode()).decode(),
        "sync_status": SyncStatus.IMPORTED,
    }
    return User.objects.update_or_create(pk=person.id, defaults=values)[0]
