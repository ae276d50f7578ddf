"""/disconnect, /forget and /settings: how a person's link, data and wishes end."""

import time

import pytest
from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ, Task

from config.jobs.enqueue import async_task
from config.models import BulkAction, BulkBatch, Lease
from movies.models import Movie
from ratings.models import Import, PendingWrite, Rating
from ratings.tasks import import_ratings, show_in
from tests.conftest import queued_jobs, wait_until
from users import disconnect
from users.models import SessionToRevoke, SyncStatus, User, session_cipher
from users.tasks import revoke_sessions

pytestmark = pytest.mark.django_db


@pytest.fixture
def linked(anna, sandbox):
    """Anna, linked with the account demo, with two ratings, one of them still to be written to TMDb."""
    session = sandbox.tmdb.session_for("demo")
    user = User.objects.create(
        pk=anna.id,
        language="en",
        tmdb_account_id=sandbox.tmdb.account("demo").id,
        tmdb_session_id=session_cipher().encrypt(session.encode()).decode(),
        sync_status=SyncStatus.IMPORTED,
    )
    for movie_id in (603, 604):
        Movie.objects.create(pk=movie_id, title=f"Film {movie_id}")
        Rating.objects.create(
            user=user, movie_id=movie_id, manual_rating=8, normalized_rating=8, rated_at=1, source="manual"
        )
    PendingWrite.objects.create(user=user, movie_id=604, rating=8)
    return user


def places_of(text):
    """Every table.column of the database in which the text stands."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            names = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                found += [f"{table}.{name}" for name, value in zip(names, row, strict=True) if text in str(value)]
    return found


def test_disconnect_ends_the_session_at_tmdb_and_here_and_keeps_the_ratings(sandbox, anna, linked, handle):
    anna.send("/disconnect")
    handle()
    linked.refresh_from_db()
    assert "ended the session there" in anna.chat[-1].text
    assert sandbox.tmdb.sessions == {}
    assert (linked.tmdb_session_id, linked.tmdb_account_id, linked.sync_status) == ("", None, 0)
    assert linked.ratings.count() == 2
    assert not linked.pending_writes.exists()
    assert not SessionToRevoke.objects.exists()


@pytest.mark.parametrize("parting", ["/disconnect", "/forget"])
def test_no_message_goes_on_saying_that_an_import_is_under_way(anna, linked, handle, parting):
    anna.send("/sync")
    handle()
    queued = anna.chat[-1]
    assert "I will read your ratings" in queued.text
    User.objects.filter(pk=anna.id).update(sync_status=SyncStatus.QUEUED)
    show_in(anna.id, queued.id)
    anna.send(parting)
    handle()
    if parting == "/forget":
        anna.press(anna.chat[-1], text="Delete everything")
        handle()
    assert queued not in anna.chat


@pytest.mark.parametrize("parting", ["/disconnect", "/forget"])
def test_an_import_that_comes_to_nothing_before_it_begins_takes_its_message_with_it(anna, linked, handle, parting):
    anna.send("/sync")
    handle()
    queued = anna.chat[-1]
    anna.send(parting)
    handle()
    if parting == "/forget":
        anna.press(anna.chat[-1], text="Delete everything")
        handle()
    import_ratings(anna.id, queued.id)  # the worker hears of it only now
    assert queued not in anna.chat
    assert not Import.objects.exists()


def test_disconnect_without_a_link_says_so(anna, handle):
    anna.send("/disconnect")
    handle()
    assert "nothing to end" in anna.chat[-1].text


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 500}, {"status": 429}, {"drop": "before"}])
def test_a_session_that_tmdb_cannot_end_now_is_ended_later(sandbox, anna, linked, handle, fault):
    sandbox.tmdb.fail(r"^/3/authentication/session$", times=None, **fault)
    anna.send("/disconnect")
    handle()
    linked.refresh_from_db()
    assert "keep asking" in anna.chat[-1].text
    assert linked.tmdb_session_id == ""
    assert len(sandbox.tmdb.sessions) == 1
    assert revoke_sessions() == "0 ended"  # not due yet: the person's own try has just been made
    SessionToRevoke.objects.update(next_try_at=0)
    revoke_sessions()
    sandbox.faults.clear()
    assert SessionToRevoke.objects.get().next_try_at > time.time() + 60, "each wait is longer than the one before"
    SessionToRevoke.objects.update(next_try_at=0)
    revoke_sessions()
    assert sandbox.tmdb.sessions == {}
    assert not SessionToRevoke.objects.exists()


def test_a_session_whose_end_was_done_but_not_answered_counts_as_ended(sandbox, anna, linked, handle):
    sandbox.tmdb.fail(r"^/3/authentication/session$", drop="after")
    anna.send("/disconnect")
    handle()
    SessionToRevoke.objects.update(next_try_at=0)
    revoke_sessions()
    assert not SessionToRevoke.objects.exists()


def test_a_session_under_a_lost_key_is_kept_and_hurts_nobody(sandbox, anna, linked, handle, settings):
    stored = linked.tmdb_session_id
    settings.SECRET_KEY = "another" * 10
    anna.send("/disconnect")
    handle()
    assert "keep asking" in anna.chat[-1].text
    assert SessionToRevoke.objects.get().session_id == stored
    settings.SECRET_KEY = "tests " * 10
    SessionToRevoke.objects.update(next_try_at=0)
    revoke_sessions()
    assert sandbox.tmdb.sessions == {}


def test_a_waiting_session_is_unreadable_and_names_nobody(sandbox, anna, linked, handle, caplog):
    session = next(iter(sandbox.tmdb.sessions))
    sandbox.tmdb.fail(r"^/3/authentication/session$", status=503, times=None)
    anna.send("/forget")
    handle()
    anna.press(anna.chat[-1], "Delete everything")
    handle()
    assert "as soon as it does" in anna.chat[-1].text
    assert SessionToRevoke.objects.count() == 1
    assert places_of(session) == []
    assert places_of(str(anna.id)) == []
    assert session not in caplog.text


def test_forget_asks_first_and_a_no_deletes_nothing(sandbox, anna, linked, handle):
    anna.send("/forget")
    handle()
    assert "2 ratings" in anna.chat[-1].text
    query = anna.press(anna.chat[-1], "Keep it")
    handle()
    assert anna.chat[-1].text == "Nothing has been deleted."
    assert anna.chat[-1].buttons == []
    assert query.answer is not None
    assert linked.ratings.count() == 2


def test_forget_leaves_no_trace_of_the_person_in_any_table(sandbox, anna, linked, handle, admin_user):
    LogEntry.objects.log_actions(admin_user.pk, [linked], CHANGE, "changed", single_object=True)
    now = timezone.now()
    Task.objects.create(id="a" * 32, func="ratings.tasks.import_ratings", args=(anna.id, 5), started=now, stopped=now)
    Task.objects.create(id="b" * 32, func="ratings.tasks.import_ratings", args=(7, 5), started=now, stopped=now)
    Lease.objects.create(name=f"ratings.write.{anna.id}")
    action = {"model": "users.User", "action": "ban", "title": "Ban", "username": "olga", "created_at": 5}
    stored = BulkAction.objects.create(**action, total=3, done=3, is_ready=True)
    BulkBatch.objects.create(bulk=stored, number=0, keys=[anna.id - 1, anna.id, anna.id + 1], is_done=True)
    for words in ("/start", "/connect again", "/settings", "The Matrix", "/forget"):
        anna.send(words)
    handle()
    question = anna.chat[-1]
    query = anna.press(question, "Delete everything")
    handle()
    assert "I no longer know anything about you" in question.text
    assert query.answer is not None
    assert not Lease.objects.exists()
    assert places_of(str(anna.id)) == []
    assert BulkBatch.objects.get().keys == [anna.id - 1, anna.id + 1]
    assert BulkAction.objects.values_list("total", "done").get() == (2, 2)
    assert [job.args for job in Task.objects.all()] == [(7, 5)], (
        "arguments are pickled: the search above is blind to them"
    )
    assert sandbox.tmdb.sessions == {}


@pytest.mark.skipif(bool(settings.REDIS_URL), reason="the queue is in Redis")
def test_forget_takes_no_row_of_a_user_whose_id_has_the_same_digits_in_it(db):
    now = timezone.now()
    others = [912345, 12340, 51234, -1234]
    for user_id in (1234, *others):
        User.objects.bulk_create([User(pk=user_id)])
        async_task("ratings.tasks.import_ratings", user_id, 5)
        failure = {"func": "f", "args": (user_id,), "result": f"of {user_id}: failed", "started": now, "stopped": now}
        Task.objects.create(id=f"{user_id:032}", **failure)
        Lease.objects.create(name=f"ratings.write.{user_id}")
    Lease.objects.create(name="ratings.file.1234")  # a file's number, not a user's
    disconnect.forget(1234)
    assert sorted(User.objects.values_list("pk", flat=True)) == sorted(others)
    assert sorted(job.args[0] for job in Task.objects.all()) == sorted(others)
    assert sorted(job.args()[0] for job in OrmQ.objects.all()) == sorted(others)
    leases = {f"ratings.write.{user_id}" for user_id in others} | {"ratings.file.1234"}
    assert set(Lease.objects.values_list("name", flat=True)) == leases


def test_forget_deletes_what_the_admins_log_says_of_the_user(anna, linked, admin_user):
    run = Import.objects.create(user=linked, started_at=1)
    stranger = User.objects.create(pk=anna.id * 10)
    for row in (linked, run, stranger):
        LogEntry.objects.log_actions(admin_user.pk, [row], CHANGE, "changed", single_object=True)
    foreign = f"{stranger.pk} · {linked.pk}"  # a number of another kind, in the name of what is the stranger's
    LogEntry.objects.create(user=admin_user, action_flag=CHANGE, object_repr=foreign)
    disconnect.forget(linked.pk)
    assert {entry.object_repr for entry in LogEntry.objects.all()} == {str(stranger), foreign}


def test_a_job_that_ends_after_forget_leaves_no_log_of_the_user(anna, linked, handle):
    anna.send("/sync")
    handle()
    (job,) = [job for job in queued_jobs() if job["func"] == "ratings.tasks.import_ratings"]
    assert anna.id in job["args"]
    assert job["save"] is False


def test_forget_pressed_twice_and_without_any_data_is_no_error(anna, handle):
    anna.send("/forget")
    handle()
    question = anna.chat[-1]
    first, second = anna.press(question, "Delete everything"), anna.press(question, "Delete everything")
    handle()
    assert first.answer is not None
    assert second.answer is not None
    assert "I no longer know anything about you" in question.text
    assert not User.objects.exists()


def test_a_question_too_old_to_be_edited_is_answered_by_a_message(sandbox, anna, linked, handle):
    anna.send("/forget")
    handle()
    sandbox.telegram.fail("editMessageText", status=400, description="Bad Request: message can't be edited")
    anna.press(anna.chat[-1], "Delete everything")
    handle()
    assert "I no longer know anything about you" in anna.chat[-1].text
    assert not User.objects.exists()


@pytest.mark.parametrize("data", ["forget:", "forget:maybe", "forget:yes:7", "writes:", "writes:0"])
def test_a_made_up_button_changes_nothing(sandbox, anna, linked, handle, data):
    anna.send("/forget")
    handle()
    question = anna.chat[-1]
    markup = {"inline_keyboard": [[{"text": "!", "callback_data": data}]]}
    question.content = type(question.content)(text=question.text, markup=markup)
    query = anna.press(question, "!")
    handle()
    assert query.answer.show_alert
    linked.refresh_from_db()
    assert linked.connected
    assert linked.writes_ratings


def test_settings_switch_writing_off_with_what_waits_and_on_again(sandbox, anna, linked, handle):
    anna.send("/settings")
    handle()
    page = anna.chat[-1]
    anna.press(page, "Keep them here only")
    handle()
    linked.refresh_from_db()
    assert not linked.writes_ratings
    assert not linked.pending_writes.exists()
    assert "stay here" in page.text
    anna.press(page, "Write them to TMDb too")
    handle()
    linked.refresh_from_db()
    assert linked.writes_ratings
    assert "written to your TMDb account too" in page.text


def test_in_a_group_nothing_of_a_person_is_shown_or_changed(sandbox, anna, linked, handle):
    group = sandbox.telegram.group("Film club", [anna])
    for words in ("/forget", "/disconnect", "/settings"):
        anna.send(words, chat=group)
        handle()
        assert "write to me privately" in list(group.messages.values())[-1].text
    linked.refresh_from_db()
    assert linked.connected


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("comes_back", [False, True], ids=["and stays away", "and comes back at once"])
def test_a_running_import_does_not_bring_back_who_was_forgotten(sandbox, anna, handle, start, comes_back):
    account = sandbox.tmdb.add_account("busy")
    for film in sandbox.tmdb.add_films(600):
        account.rate(film, 8)
    user = User.objects.create(pk=anna.id, language="en")
    user.connect(account.id, sandbox.tmdb.session_for("busy"))
    sandbox.tmdb.latency = 0.05
    async_task("ratings.tasks.import_ratings")
    cluster = start("qcluster")
    wait_until(lambda: Rating.objects.filter(user_id=anna.id).exists(), 60, lambda: cluster.output)
    assert User.objects.get(pk=anna.id).sync_status == SyncStatus.QUEUED, "the import is not over"
    anna.send("/forget")
    handle()
    anna.press(anna.chat[-1], "Delete everything")
    handle()
    if comes_back:
        anna.send("/start")
        handle()
    sandbox.tmdb.latency = 0
    wait_until(lambda: not Import.objects.exists() and no_requests_for(sandbox, 3), 60, lambda: cluster.output)
    assert not Rating.objects.exists()
    assert list(User.objects.values_list("tmdb_session_id", "sync_status")) == ([("", 0)] if comes_back else [])
    assert sandbox.tmdb.sessions == {}
    assert "Traceback" not in cluster.output


def no_requests_for(sandbox, seconds):
    return time.time() - max(seen.at for seen in sandbox.tmdb.requests) > seconds
