"""TMDb sessions in the database: a key is changed while everything runs, a key is missing, nothing is ever lost."""

import threading

import pytest
from cryptography.fernet import Fernet
from django.core.cache import cache
from django.core.management import CommandError, call_command

from movies.models import Movie
from ratings.models import Import, PendingWrite, Rating
from ratings.rate import rate as rate_here
from ratings.tasks import queue_daily_imports, write_ratings
from tests.conftest import queued
from tests.helpers.imports import at_tmdb, linked, rate, table_of, work
from users import key_rotation
from users.models import SessionToRevoke, SyncStatus, User, session_cipher
from users.tasks import revoke_sessions

pytestmark = pytest.mark.django_db

OLD, NEW, WRONG = (Fernet.generate_key().decode() for _ in range(3))


def sealed(session, key=OLD):
    return Fernet(key).encrypt(session.encode()).decode()


def people(number, key=OLD, first=1):
    """People with a session each, and as many sessions that are still to be ended."""
    ids = range(first, first + number)
    User.objects.bulk_create(User(pk=n, tmdb_session_id=sealed(f"session-{n}", key)) for n in ids)
    SessionToRevoke.objects.bulk_create(SessionToRevoke(session_id=sealed(f"old-{n}", key)) for n in ids)


def opened(key):
    """All stored sessions, in clear, with this key alone."""
    stored = [*User.objects.order_by("pk").values_list("tmdb_session_id", flat=True)]
    stored += SessionToRevoke.objects.order_by("pk").values_list("session_id", flat=True)
    return [Fernet(key).decrypt(one.encode()).decode() for one in stored]


def as_stored():
    return [*User.objects.order_by("pk").values_list("pk", "tmdb_session_id"), *SessionToRevoke.objects.values_list()]


# --- A key is changed


@pytest.mark.django_db(transaction=True)
def test_after_a_rotation_the_new_key_alone_reads_everything_and_a_second_run_changes_nothing(start, settings):
    settings.SESSION_ENCRYPTION_KEYS = [OLD]
    people(7)
    keys = f"{NEW},{OLD}"
    command = start("rotate_session_key", SESSION_ENCRYPTION_KEYS=keys)
    assert command.wait() == 0, command.output
    assert "14 re-encrypted, 14 of 14 under the first key" in command.output
    assert "needed no more" in command.output
    assert opened(NEW) == [f"session-{n}" for n in range(1, 8)] + [f"old-{n}" for n in range(1, 8)]
    before = as_stored()
    again = start("rotate_session_key", SESSION_ENCRYPTION_KEYS=keys)
    assert again.wait() == 0, again.output
    assert "0 re-encrypted, 14 of 14 under the first key" in again.output
    assert as_stored() == before


def test_batches_leave_out_nobody(settings, monkeypatch, capsys):
    monkeypatch.setattr(key_rotation, "BATCH_SIZE", 3)
    people(10)
    people(5, NEW, first=11)
    settings.SESSION_ENCRYPTION_KEYS = [NEW, OLD]
    call_command("rotate_session_key")
    assert "20 re-encrypted, 30 of 30" in capsys.readouterr().out
    assert len(opened(NEW)) == 30


def test_from_the_secret_key_to_a_key_of_its_own(settings, capsys):
    """Who begins without SESSION_ENCRYPTION_KEYS has a key derived from SECRET_KEY, which can be replaced likewise."""
    user = User.objects.create(pk=1)
    user.connect(5, "a session")
    settings.SESSION_ENCRYPTION_KEYS = [NEW]
    call_command("rotate_session_key")
    assert opened(NEW) == ["a session"]


def test_a_new_secret_key_needs_the_old_one_among_the_keys(settings):
    user = User.objects.create(pk=1)
    user.connect(5, "a session")
    settings.SESSION_ENCRYPTION_KEYS, settings.SECRET_KEY = [NEW, settings.SECRET_KEY], "another" * 10
    call_command("rotate_session_key")
    assert opened(NEW) == ["a session"]


def test_what_changes_meanwhile_is_never_overwritten(settings):
    """Between reading a row and writing it, one person links again, one ends the link, one is forgotten."""
    people(4)
    settings.SESSION_ENCRYPTION_KEYS = [NEW, OLD]

    def meddle(run):
        if run.checked == 1:
            User.objects.filter(pk=2).update(tmdb_session_id=sealed("linked again", OLD))
            User.objects.filter(pk=3).update(tmdb_session_id="")
            User.objects.filter(pk=4).delete()
            run.report = None

    run = key_rotation.rotate(key_rotation.Run(report=meddle))
    assert run.finished
    assert not User.objects.filter(pk=4).exists()
    assert User.objects.get(pk=3).tmdb_session_id == ""
    readable = {user.pk: Fernet(NEW).decrypt(user.tmdb_session_id).decode() for user in User.objects.connected()}
    assert readable == {1: "session-1", 2: "linked again"}


def test_two_at_once_leave_every_session_whole(settings, monkeypatch):
    people(6)
    settings.SESSION_ENCRYPTION_KEYS = [NEW, OLD]

    def the_other(run):
        run.report = None
        assert key_rotation.rotate(key_rotation.Run()).finished

    run = key_rotation.rotate(key_rotation.Run(report=the_other))
    assert run.finished
    assert len(opened(NEW)) == 12


def test_a_process_that_still_writes_under_the_old_key_is_noticed(settings):
    people(3)
    settings.SESSION_ENCRYPTION_KEYS = [NEW, OLD]

    def write_again(run):
        User.objects.filter(pk=1).update(tmdb_session_id=sealed(f"new link {run.checked}", OLD))

    assert not key_rotation.rotate(key_rotation.Run(report=write_again)).finished


def test_sigterm_ends_it_between_two_rows(settings):
    people(5)
    settings.SESSION_ENCRYPTION_KEYS = [NEW, OLD]
    stop = threading.Event()
    run = key_rotation.rotate(key_rotation.Run(stop, report=lambda run: stop.set()))
    assert run.rotated == 1
    assert not run.finished
    assert len([one for _pk, one in User.objects.values_list("pk", "tmdb_session_id") if reads(NEW, one)]) == 1


def reads(key, stored):
    return key_rotation.can_decrypt(Fernet(key), stored)


@pytest.mark.django_db(transaction=True)
def test_a_rotation_beside_running_workers_harms_no_import(sandbox, start, settings):
    settings.SESSION_ENCRYPTION_KEYS = [OLD]
    users = []
    for number in range(12):
        user = linked(sandbox, sandbox.telegram.person(f"P{number}"), f"account-{number}")
        rate(user.account, list(sandbox.tmdb.films)[:30])
        users.append(user)
    sandbox.tmdb.latency = 0.02
    keys = f"{NEW},{OLD}"
    worker = start("import_ratings", SESSION_ENCRYPTION_KEYS=keys)
    rotation = start("rotate_session_key", SESSION_ENCRYPTION_KEYS=keys)
    assert rotation.wait(60) == 0, rotation.output
    assert worker.wait(120) == 0, worker.output
    assert opened(NEW) == [session_of(sandbox, user) for user in users]
    for user in users:
        assert table_of(user) == at_tmdb(user.account)


def session_of(sandbox, user):
    return next(session for session, account in sandbox.tmdb.sessions.items() if account is user.account)


# --- A key is missing


@pytest.fixture
def locked(sandbox, anna, settings, film):
    """Anna is linked, with a rating at TMDb, and the key her session was encrypted with is gone."""
    cache.clear()
    settings.SESSION_ENCRYPTION_KEYS = [OLD]
    user = linked(sandbox, anna, "anna")
    User.objects.filter(pk=user.pk).update(language="en", sync_status=SyncStatus.IMPORTED)
    rate(user.account, [603])
    settings.SESSION_ENCRYPTION_KEYS = [WRONG]
    user.refresh_from_db()
    return user


@pytest.fixture
def film():
    return Movie.objects.create(pk=604, title="Film 604", details_at=1)


@pytest.mark.django_db(transaction=True)
def test_a_wrong_key_is_said_with_a_number_and_nothing_is_changed(start):
    people(3)
    before = as_stored()
    command = start("rotate_session_key", SESSION_ENCRYPTION_KEYS=WRONG)
    assert command.wait() == 1
    assert "6 of 6 stored sessions cannot be decrypted and were left as they are" in command.output
    assert "Traceback" not in command.output
    assert as_stored() == before
    check = start("check_services", SESSION_ENCRYPTION_KEYS=WRONG)
    assert check.wait() == 1
    assert "6 of 6 stored TMDb sessions cannot be decrypted" in check.output
    check = start("check_services", SESSION_ENCRYPTION_KEYS=OLD)
    assert check.wait() == 0, check.output


def test_what_can_be_read_is_renewed_beside_what_cannot(settings):
    people(2), people(3, NEW, first=3), people(1, WRONG, first=6)
    settings.SESSION_ENCRYPTION_KEYS = [NEW, OLD]
    lost = list(User.objects.filter(pk=6).values_list("tmdb_session_id", flat=True))
    with pytest.raises(CommandError, match="2 of 12 stored sessions cannot be decrypted"):
        call_command("rotate_session_key")
    assert list(User.objects.filter(pk=6).values_list("tmdb_session_id", flat=True)) == lost
    assert all(reads(NEW, user.tmdb_session_id) for user in User.objects.filter(pk__lt=6))


@pytest.mark.parametrize("stored", ["a session in clear", "gAAAAA", "ключ", "x" * 5000])
def test_what_was_never_encrypted_is_left_alone_too(settings, stored):
    User.objects.create(pk=1, tmdb_session_id=stored)
    with pytest.raises(CommandError, match="1 of 1 stored sessions cannot be decrypted"):
        call_command("rotate_session_key")
    assert User.objects.get().tmdb_session_id == stored


def test_an_import_without_the_key_fails_with_a_reason_and_goes_on_when_the_key_is_back(
    sandbox, anna, locked, handle, settings, caplog, capsys
):
    stored = locked.tmdb_session_id
    anna.send("/sync")
    handle()
    work(locked)
    assert locked.sync_status == SyncStatus.FAILED
    assert "put the key it was encrypted with back" in locked.sync_error
    assert "fault on our side" in anna.chat[-1].text
    assert any(line.levelname == "ERROR" and "cannot be decrypted" in line.message for line in caplog.records)
    assert locked.tmdb_session_id == stored
    settings.SESSION_ENCRYPTION_KEYS = [NEW, OLD]
    call_command("rotate_session_key")
    assert "1 imports that had failed for want of a key are queued again" in capsys.readouterr().out
    assert "ratings.tasks.import_ratings" in queued()
    work(locked)
    assert locked.sync_status == SyncStatus.IMPORTED
    assert table_of(locked) == at_tmdb(locked.account)


def test_who_did_not_ask_for_an_import_hears_nothing_of_a_missing_key(sandbox, anna, locked):
    User.objects.update(last_sync_at=1)
    said = len(anna.chat)
    queue_daily_imports()
    assert Import.objects.get().scheduled
    work()
    locked.refresh_from_db()
    assert locked.sync_status == SyncStatus.FAILED
    assert len(anna.chat) == said
    assert Import.objects.get().reported_at


def test_a_rating_made_meanwhile_waits_and_is_written_when_the_key_is_back(sandbox, anna, locked, settings):
    rate_here(locked, 604, 9)
    assert write_ratings() == "0 written"
    assert "will reach TMDb once it is fixed" in anna.chat[-1].text
    said = len(anna.chat)
    PendingWrite.objects.update(next_try_at=0)
    write_ratings()
    assert len(anna.chat) == said, "it is said once"
    assert Rating.objects.filter(user=locked, movie_id=604).exists()
    settings.SESSION_ENCRYPTION_KEYS = [OLD]
    PendingWrite.objects.update(next_try_at=0)
    assert write_ratings() == "1 written"
    assert locked.account.ratings[604] == 9


def test_leaving_without_the_key_keeps_the_session_until_it_can_be_ended(sandbox, anna, locked, handle, settings):
    anna.send("/disconnect")
    handle()
    assert "keep asking" in anna.chat[-1].text
    SessionToRevoke.objects.update(next_try_at=0, attempts=70)
    assert revoke_sessions() == "0 ended"
    settings.SESSION_ENCRYPTION_KEYS = [NEW, OLD]
    call_command("rotate_session_key")
    settings.SESSION_ENCRYPTION_KEYS = [NEW]
    SessionToRevoke.objects.update(next_try_at=0)
    assert revoke_sessions() == "1 ended"
    assert sandbox.tmdb.sessions == {}


def test_a_link_begun_under_a_key_that_is_gone_is_simply_too_old(sandbox, anna, handle, settings):
    settings.SESSION_ENCRYPTION_KEYS = [OLD]
    anna.send("/connect")
    handle()
    question = anna.chat[-1]
    settings.SESSION_ENCRYPTION_KEYS = [WRONG]
    query = anna.press(question, "Done")
    handle()
    assert "no longer works" in query.answer.text
    anna.send("/connect")
    handle()
    token = anna.chat[-1].button(text="Done").data.partition(":")[2]
    sandbox.tmdb.approve(token, "demo")
    anna.press(anna.chat[-1], "Done")
    handle()
    assert session_cipher().decrypt(User.objects.get(pk=anna.id).tmdb_session_id)


def test_an_operator_sees_the_reason_in_the_admin(admin_client, locked):
    User.objects.filter(pk=locked.pk).queue_import()
    work(locked)
    for page in (f"/admin/users/user/{locked.pk}/change/", "/admin/users/user/", "/admin/"):
        assert "cannot be decrypted" in admin_client.get(page).text, page


def test_the_admin_ends_a_link_without_the_key_and_loses_nothing(admin_client, locked):
    stored = locked.tmdb_session_id
    data = {"action": "disconnect_tmdb", "_selected_action": [locked.pk]}
    page = admin_client.post("/admin/users/user/", data, follow=True)
    assert [message.level_tag for message in page.context["messages"]] == ["warning", "info"]
    assert SessionToRevoke.objects.get().session_id == stored
    assert User.objects.get(pk=locked.pk).tmdb_session_id == ""


def test_a_short_key_is_warned_of(settings, capsys):
    settings.SESSION_ENCRYPTION_KEYS = ["short"]
    call_command("check")
    assert "less than 32 characters" in capsys.readouterr().err
