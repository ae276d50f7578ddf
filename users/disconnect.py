"""How a person's link with TMDb ends, how the person is forgotten, and the sessions TMDb has still to end."""

import logging
import re
import time

from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models import F
from django_q.models import Task

from config.bot import update_queue
from config.models import Lease
from movies.tmdb import TMDb, TMDbError
from users.models import OldSession, SessionUnreadable, User, decrypted, encrypted

log = logging.getLogger(__name__)

LONGEST_DELAY = 24 * 3600  # seconds between two tries to end a session
CLAIM = 60  # seconds a try may take before another worker makes the next


def disconnect(user_id):
    """Cut the person's link with TMDb; their ratings stay, what was still to be written to TMDb is dropped.

    Here the link ends at once, whatever becomes of TMDb. Returns whether TMDb has ended the session too; where it has
    not, `end_sessions` goes on asking.
    """
    with transaction.atomic():
        user = User.objects.select_for_update().filter(pk=user_id).first()
        old = user and set_aside(user)
        if user:
            user.pending_writes.all().delete()
            user.disconnect()
    return end_now(old)


def forget(user_id):
    """Delete everything of the person, whichever table it stands in; returns as `disconnect` does.

    A job that is at work for them finds its row gone and stops; none of them ever makes a person's row.
    """
    with transaction.atomic():
        user = User.objects.select_for_update().filter(pk=user_id).first()
        old = user and set_aside(user)
        if user:
            user.delete()
        update_queue.forget(user_id)
        LogEntry.objects.filter(content_type__app_label="users", object_id=str(user_id)).delete()
        Lease.objects.filter(name__endswith=f".{user_id}").delete()
    whole_id = re.compile(rf"(?<!\d){user_id}(?!\d)")  # 1234 is not in 912345
    jobs = [job.pk for job in Task.objects.iterator() if whole_id.search(repr((job.args, job.kwargs, job.result)))]
    Task.objects.filter(pk__in=jobs).delete()
    return end_now(old)


def stop_writing(user_id):
    """Write no more ratings of the person to TMDb, those that wait included."""
    with transaction.atomic():
        User.objects.filter(pk=user_id).update(writes_ratings=False)
        for user in User.objects.filter(pk=user_id):
            user.pending_writes.all().delete()


def write_again(user_id):
    """Write the ratings that the person makes from now on to TMDb."""
    User.objects.filter(pk=user_id).update(writes_ratings=True)


# --- Sessions that TMDb has still to end


def set_aside(user):
    """Keep the person's session, encrypted as it is, until TMDb has ended it; None where there is none."""
    return OldSession.objects.create(session_id=user.tmdb_session_id) if user.connected else None


def discard(session_id):
    """End a session that came to nothing."""
    end_now(OldSession.objects.create(session_id=encrypted(session_id)))


def end_now(old):
    """End a session while the person waits: briefly. True where there is none."""
    return old is None or end(old, TMDb(patient=False))


def end_sessions():
    """End the sessions that are due; one that cannot be ended now waits longer, up to a day, but is never dropped."""
    due = OldSession.objects.filter(next_try_at__lte=int(time.time())).order_by("next_try_at")[:100]
    ended = sum(end(old, TMDb()) for old in due)
    return f"{ended} ended"


def end(old, tmdb):
    """Have TMDb end one session; returns whether it is over. Whoever else tries at the same time does no harm."""
    delay = min(CLAIM * 2**old.attempts, LONGEST_DELAY)
    still_there = OldSession.objects.filter(pk=old.pk)
    still_there.update(attempts=F("attempts") + 1, next_try_at=int(time.time()) + delay)
    try:
        tmdb.end_session(decrypted(old.session_id))
    except (TMDbError, SessionUnreadable) as error:
        log.warning("an old session is not ended yet: %s", error)
        return False
    still_there.delete()
    return True
