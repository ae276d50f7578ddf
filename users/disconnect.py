"""/disconnect and /forget: a user's link with TMDb ends, the user is deleted, the TMDb session is revoked.

Here a link ends at once, whatever becomes of TMDb: its session moves to `sessions_to_revoke`, which names no user, and
stays there until TMDb has ended it.
"""

import logging
import re
import time

from django.contrib.admin.models import LogEntry
from django.db import models, transaction
from django.db.models import F, Q
from django_q.models import OrmQ, Task

from config.bot import update_queue
from config.jobs.enqueue import StopEvent, async_task
from config.jobs.time_limit import seconds_left
from config.models import BulkBatch, Lease, UpdateFailure
from config.moments import ahead, doubled
from config.monitoring.secret import Secret
from movies.models import PendingCard
from movies.tmdb import TMDb, TMDbError
from users.models import SessionToRevoke, SessionUnreadable, User, UserQuerySet, decrypt, encrypt
from users.visits import visits

log = logging.getLogger(__name__)

MAX_RETRY_DELAY_SECONDS = 24 * 3600  # between two attempts to revoke a session
CLAIM_TTL_SECONDS = 60  # that an attempt may take before another worker makes the next
BATCH_SIZE = 100  # sessions revoked in one job


def disconnect(user_id: int) -> bool:
    """End the user's link with TMDb; their ratings stay, those not yet written to TMDb are never written.

    Returns whether TMDb has ended the session, too; where it has not, `revoke_sessions` tries again.
    """
    with transaction.atomic():
        user = User.objects.lock(user_id)
        old = queue_revocation(user) if user else None
        if user:
            user.pending_writes.all().delete()
            user.disconnect()
    return revoke_now(old)


def disconnect_all(users: UserQuerySet) -> list[SessionToRevoke]:
    """End the link of all these users; returns the sessions that TMDb has still to end."""
    with transaction.atomic():
        linked = list(users.connected().select_for_update(no_key=True).order_by("pk"))
        sessions = [SessionToRevoke(session_id=user.tmdb_session_id) for user in linked]
        for user in linked:
            user.pending_writes.all().delete()
            user.disconnect()
        return SessionToRevoke.objects.bulk_create(sessions)


def forget(user_id: int) -> bool:
    """Delete everything about the user from every table; returns what `disconnect` does."""
    return all(revoke_now(session) for session in delete_everything(user_id))


def delete_everything(user_id: int) -> list[SessionToRevoke]:
    """Delete everything about the user from every table; returns the session that TMDb has still to end, if any.

    A job that is working for the user finds the row gone and stops; no job ever creates a user.
    """
    with transaction.atomic():
        user = User.objects.select_for_update().filter(pk=user_id).first()
        old = queue_revocation(user) if user else None
        if user:
            user.delete()
        update_queue.forget(user_id)
        PendingCard.objects.filter(chat_id=user_id).delete()
        # the admin's log names a user by id, and what belongs to the user by an id in front: "501 · …"
        logged = Q(content_type__app_label="users", object_id=str(user_id))
        LogEntry.objects.filter(logged | Q(object_repr__startswith=f"{user_id} · ")).delete()
        BulkBatch.objects.forget("users.User", user_id)
        work = ("ratings.write", "ratings.files", "watchlist.write")
        Lease.objects.filter(name__in=[f"{name}.{user_id}" for name in work]).delete()
    UpdateFailure.objects.filter(traceback__contains=str(user_id)).delete()
    visits.forget(user_id)
    _delete_jobs(user_id)
    return [old] if old else []


def _delete_jobs(user_id: int) -> None:
    """Delete queued and logged jobs that name the user; their arguments are pickled, so SQL cannot find them."""
    whole_id = re.compile(rf"(?<![\d-]){user_id}(?!\d)")
    queued = [job.pk for job in OrmQ.objects.iterator() if whole_id.search(repr((job.args(), job.kwargs())))]
    OrmQ.objects.filter(pk__in=queued).delete()
    logged = [job.pk for job in Task.objects.iterator() if whole_id.search(repr((job.args, job.kwargs, job.result)))]
    Task.objects.filter(pk__in=logged).delete()


def stop_writing(user_id: int) -> None:
    """Write no more ratings of the user to TMDb, pending ones included."""
    with transaction.atomic():
        User.objects.filter(pk=user_id).update(writes_ratings=False)
        for user in User.objects.filter(pk=user_id):
            user.pending_writes.all().delete()


def resume_writing(user_id: int) -> None:
    """Write the ratings that the user makes from now on to TMDb."""
    User.objects.filter(pk=user_id).update(writes_ratings=True)


# --- Sessions that TMDb has still to end


def queue_revocation(user: User) -> SessionToRevoke | None:
    """Store the user's session, encrypted as it is, until TMDb has ended it; None where there is none."""
    return SessionToRevoke.objects.create(session_id=user.tmdb_session_id) if user.connected else None


def revoke_unused(session_id: Secret) -> None:
    """Revoke a new session that no user got."""
    revoke_now(SessionToRevoke.objects.create(session_id=encrypt(session_id)))


def revoke_now(session: SessionToRevoke | None) -> bool:
    """Try once to revoke a session while the user waits. True where TMDb has ended it, or there is none."""
    return session is None or revoke(session, TMDb(background=False))


def revoke_soon(sessions: list[SessionToRevoke]) -> int:
    """Revoke one session at once, more in a job; returns how many are left."""
    if len(sessions) == 1 and revoke_now(sessions[0]):
        return 0
    if len(sessions) > 1:
        async_task("users.tasks.revoke_sessions")
    return len(sessions)


def due_sessions() -> models.QuerySet[SessionToRevoke]:
    return SessionToRevoke.objects.exclude(ahead("next_try_at", doubled(CLAIM_TTL_SECONDS, MAX_RETRY_DELAY_SECONDS)))


def revoke_sessions(stop: StopEvent) -> str:
    """Revoke the sessions that are due; one that cannot be revoked waits longer, up to a day, and is never dropped."""
    due = due_sessions().order_by("next_try_at")[:BATCH_SIZE]
    revoked = sum(revoke(session, TMDb()) for session in due if not stop.is_set() and seconds_left() > 0)
    return f"{revoked} ended"


def revoke(session: SessionToRevoke, tmdb: TMDb) -> bool:
    """Have TMDb end one session; returns whether it has. A concurrent attempt does no harm."""
    delay = min(CLAIM_TTL_SECONDS * 2**session.attempts, MAX_RETRY_DELAY_SECONDS)
    row = SessionToRevoke.objects.filter(pk=session.pk)
    row.update(attempts=F("attempts") + 1, next_try_at=int(time.time()) + delay)
    try:
        tmdb.end_session(decrypt(session.session_id))
    except (TMDbError, SessionUnreadable) as error:
        log.warning("a session cannot be revoked yet: %s", error)
        return False
    row.delete()
    return True
