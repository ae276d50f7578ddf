"""What operators do to rows: asked first where they are many, recorded, and never a success that was none."""

import re
import time

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.urls import reverse
from django.utils import timezone
from django_q.models import Schedule, Task

from config.admin import bulk
from config.admin.actions import MAX_UNASKED
from config.jobs.schedules import sync_schedules
from config.jobs.tasks import run_bulk_actions
from config.models import BulkAction, BulkBatch
from movies.models import NEVER, Movie, PosterStatus
from tests.conftest import queued
from users.models import SessionToRevoke, SyncStatus, User
from users.tasks import revoke_sessions

pytestmark = pytest.mark.django_db

FILMS, PEOPLE = reverse("admin:movies_movie_changelist"), reverse("admin:users_user_changelist")


@pytest.fixture
def operator(client):
    """A browser of the superuser olga's, in English."""
    client.force_login(get_user_model().objects.create_superuser("olga"))
    client.cookies["django_language"] = "en"
    return client


def films(number, **fields):
    fields = {"poster_path": "/p.jpg", "poster_status": PosterStatus.WAITING, **fields}
    return Movie.objects.bulk_create(Movie(id=pk, title=f"Film {pk}", **fields) for pk in range(1, number + 1))


def linked(sandbox, number):
    """So many people, each with a session that TMDb knows."""
    account = sandbox.tmdb.add_account("anna")
    for pk in range(1, number + 1):
        User.objects.create(pk=pk).connect(account.id, sandbox.tmdb.session_for(account))
    User.objects.update(sync_status=SyncStatus.IMPORTED)
    return User.objects.order_by("pk")


def act(client, page, action, rows, **more):
    data = {"action": action, "_selected_action": [row.pk for row in rows], **more}
    return client.post(page, data, follow=True)


def told(page):
    return [(message.level_tag, str(message)) for message in page.context["messages"]]


def calls(sandbox):
    return [call.path for call in sandbox.tmdb.requests if call.method == "DELETE"]


@pytest.mark.parametrize(
    ("action", "rows", "lines"),
    [
        ("requeue_posters", 2, "olga: requeue_posters, 2 of movies.Movie (1, 2)"),
        ("read_again", 1, "olga: read_again, 1 of movies.Movie (1)"),
        ("pause_posters", 2, "olga: pause_posters, 2 of movies.Movie (1, 2)"),
        ("resume_posters", 1, "olga: resume_posters, 1 of movies.Movie (1)"),
        ("import_again", 2, "olga: import_again, 2 of users.User (1, 2)"),
        ("disconnect_tmdb", 2, "olga: disconnect_tmdb, 2 of users.User (1, 2)"),
        ("run_now", 1, "olga: run_now, 1 of django_q.Schedule"),
        ("resubmit", 1, "olga: resubmit, 1 of django_q.Failure"),
    ],
)
def test_every_action_is_in_the_history_of_its_rows_and_a_line_of_the_log(
    operator, sandbox, caplog, action, rows, lines
):
    page = PEOPLE if action in ("import_again", "disconnect_tmdb") else FILMS
    if page == PEOPLE:
        chosen = linked(sandbox, rows)
    elif action == "run_now":
        sync_schedules()
        page, chosen = reverse("admin:django_q_schedule_changelist"), Schedule.objects.all()[:1]
    elif action == "resubmit":
        now = timezone.now()
        job = {"func": "users.tasks.revoke_sessions", "started": now, "stopped": now, "success": False}
        page, chosen = reverse("admin:django_q_failure_changelist"), [Task.objects.create(id="a" * 32, name="x", **job)]
    else:
        chosen = films(rows, **({"poster_error": "x", "poster_status": 0} if action == "resume_posters" else {}))
        if action == "resume_posters":
            Movie.objects.suspend_posters("x")
    keys = [str(row.pk) for row in chosen]
    with caplog.at_level("INFO"):
        act(operator, page, action, chosen)
    assert sorted(LogEntry.objects.filter(user__username="olga").values_list("object_id", flat=True)) == sorted(keys)
    logged = [record.getMessage() for record in caplog.records if record.name == "config.admin.actions"]
    assert len(logged) == 1
    assert logged[0].startswith(lines)
    if page in (FILMS, PEOPLE):
        history = operator.get(page + f"{keys[0]}/history/").text
        assert "olga" in history
        assert LogEntry.objects.first().change_message in history


def test_what_is_changed_on_a_page_of_djangos_own_is_a_line_of_the_log_too(operator, caplog):
    with caplog.at_level("INFO"):
        form = {"username": "sasha", "usable_password": "false", "password1": "", "password2": ""}
        operator.post(reverse("admin:auth_user_add"), form)
    assert f"olga: added user {get_user_model().objects.get(username='sasha').pk}" in caplog.text


def test_an_action_over_many_rows_asks_first_and_then_does_all_of_them(operator, settings, caplog):
    settings.TELEGRAM_POSTER_CHANNELS, settings.TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE = [-1], 20
    number = MAX_UNASKED * 3
    rows = films(number, poster_status=PosterStatus.TELEGRAM, telegram_file_id="x")
    everything = {"select_across": "1", "index": "0"}
    question = act(operator, FILMS + "?year=unknown", "requeue_posters", rows[:50], **everything)
    assert "Films: 150. About 7 min with 1 channel." in " ".join(question.text.split())
    assert not Movie.objects.filter(poster_status=PosterStatus.WAITING).exists()
    assert not LogEntry.objects.exists()
    fields = dict(
        re.findall(r'<input type="hidden" name="(action|select_across|index|confirmed)" value="(\w+)"', question.text)
    )
    assert fields == {"action": "requeue_posters", "confirmed": "1", **everything}
    with caplog.at_level("INFO"):
        page = act(operator, FILMS + "?year=unknown", fields.pop("action"), rows[:50], **fields)
    assert told(page) == [("info", "150 posters queued.")]
    assert Movie.objects.filter(poster_status=PosterStatus.WAITING).count() == number
    assert LogEntry.objects.get().object_repr.endswith(": 150")
    assert "olga: requeue_posters, 150 of movies.Movie" in caplog.text


def test_fifty_rows_are_not_asked_about(operator):
    rows = films(MAX_UNASKED)
    assert told(act(operator, FILMS, "read_again", rows)) == [("info", "50 films will be read again.")]


@pytest.mark.parametrize(
    ("page", "action", "reason"),
    [
        (PEOPLE, "import_again", "no TMDb account linked"),
        (PEOPLE, "disconnect_tmdb", "no TMDb account linked"),
        (FILMS, "requeue_posters", "no poster"),
        (FILMS, "pause_posters", "is waiting"),
        (FILMS, "resume_posters", "has failed or is paused"),
    ],
)
def test_what_did_nothing_says_why_and_is_no_success(operator, page, action, reason):
    row = User.objects.create(pk=1) if page == PEOPLE else films(1, poster_path="", poster_status=PosterStatus.NONE)[0]
    ((level, text),) = told(act(operator, page, action, [row]))
    assert level == "warning"
    assert reason in text
    assert "0" not in text
    assert not LogEntry.objects.exists()


BUTTON = re.compile(r'<input type="hidden" name="action" value="(\w+)">')
PAUSED = {"poster_path": "/p", "poster_status": PosterStatus.WAITING, "poster_next_try_at": NEVER}
GIVEN_UP = {"poster_path": "/p", "poster_status": PosterStatus.NONE, "poster_error": "no such image"}


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        ({}, []),
        ({"poster_path": "/p", "poster_status": PosterStatus.WAITING}, ["requeue_posters", "pause_posters"]),
        ({"poster_path": "/p", "poster_status": PosterStatus.TELEGRAM, "telegram_file_id": "x"}, ["requeue_posters"]),
        (PAUSED | {"poster_error": "paused by olga"}, ["requeue_posters", "resume_posters"]),
        (GIVEN_UP, ["requeue_posters", "resume_posters"]),
        (
            {"poster_path": "/p", "poster_status": PosterStatus.LOCAL, "telegram_file_id": "x"},
            ["requeue_posters", "keep_old_posters", "pause_posters"],
        ),
    ],
)
def test_a_films_page_offers_what_would_do_something(operator, state, offered):
    Movie.objects.create(id=1, title="Film", **state)
    assert BUTTON.findall(operator.get(FILMS + "1/change/").text) == [*offered, "read_again"]


def test_a_persons_page_offers_what_would_do_something(operator, sandbox):
    person = linked(sandbox, 1)[0]
    User.objects.create(pk=2, banned_at=5)
    page = reverse("admin:users_user_change", args=[1])
    assert BUTTON.findall(operator.get(page).text) == ["import_again", "disconnect_tmdb", "ban", "delete_data"]
    User.objects.filter(pk=person.pk).update(sync_status=SyncStatus.QUEUED)
    assert BUTTON.findall(operator.get(page).text) == ["disconnect_tmdb", "ban", "delete_data"]
    stranger = operator.get(reverse("admin:users_user_change", args=[2])).text
    assert BUTTON.findall(stranger) == ["lift_ban", "delete_data"]


def test_a_hundred_sessions_are_ended_in_a_job_and_none_while_the_operator_waits(operator, sandbox):
    people = linked(sandbox, 101)
    page = act(operator, PEOPLE, "disconnect_tmdb", people, confirmed="1")
    assert told(page) == [
        ("warning", "101 sessions are still to be ended on TMDb."),
        ("info", "101 people disconnected from TMDb."),
    ]
    assert not User.objects.connected().exists()
    assert calls(sandbox) == []
    assert queued() == ["users.tasks.revoke_sessions"]
    revoke_sessions()
    assert len(calls(sandbox)) == 100
    assert queued() == ["users.tasks.revoke_sessions"] * 2
    revoke_sessions()
    assert not SessionToRevoke.objects.exists()


def test_deleting_people_asks_tmdb_in_a_job_and_leaves_who_did_it_without_whom(operator, sandbox, caplog):
    people = linked(sandbox, 60)
    with caplog.at_level("INFO"):
        page = act(operator, PEOPLE, "delete_data", people, confirmed="1")
    assert told(page) == [("info", "60 people deleted.")]
    assert not User.objects.exists()
    assert calls(sandbox) == []
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.action_flag, entry.object_id) == ("olga", DELETION, None)
    assert "olga: delete_data, 60 of users.User" in [record.getMessage() for record in caplog.records]


def test_more_people_than_can_be_deleted_at_once_are_refused_and_not_silently_fewer(operator):
    User.objects.bulk_create(User(pk=pk) for pk in range(1, 202))
    page = act(operator, PEOPLE, "delete_data", User.objects.all()[:50], select_across="1", index="0", confirmed="1")
    assert told(page) == [("error", "Nothing deleted: choose at most 200 people.")]
    assert User.objects.count() == 201


def test_the_front_page_tells_of_recent_actions(operator):
    act(operator, FILMS, "read_again", films(1))
    page = " ".join(operator.get(reverse("admin:index")).text.split())
    assert re.search(r'olga: Read the metadata again — <a href="/admin/movies/movie/1/change/">Film 1', page)


# --- Over many rows


def test_what_takes_longer_goes_on_in_a_job_with_progress_until_it_is_done(operator, monkeypatch):
    monkeypatch.setattr(bulk, "INLINE_SECONDS", 0)
    monkeypatch.setattr(bulk, "BATCH_ROWS", 40)
    rows = films(120, poster_status=PosterStatus.TELEGRAM, telegram_file_id="x")
    page = act(operator, FILMS + "?year=unknown", "requeue_posters", rows[:50], select_across="1", confirmed="1")
    assert "0</b> / 120" in page.text
    assert LogEntry.objects.get().object_repr.endswith(": 120")
    assert queued() == ["config.jobs.tasks.run_bulk_actions"]
    began = BulkAction.objects.get()
    address = reverse("admin:bulk_action", args=[began.pk])
    assert address in operator.get(reverse("admin:index")).text
    bulk.run(began.pk, time.monotonic() + 60)
    assert Movie.objects.filter(poster_status=PosterStatus.WAITING).count() == 120
    began.refresh_from_db()
    assert (began.done, began.changed, began.is_running) == (120, 120, False)
    assert "Changed: 120" in operator.get(address).text
    assert address not in operator.get(reverse("admin:index")).text


class Killed(BaseException):
    """An end of the process in the middle."""


def kill(*arguments, **options):
    raise Killed


def test_a_process_that_is_killed_at_it_leaves_who_began_it(operator, monkeypatch):
    monkeypatch.setattr(bulk, "run", kill)
    with pytest.raises(Killed):
        act(operator, FILMS, "requeue_posters", films(60), confirmed="1")
    assert LogEntry.objects.get().object_repr.endswith(": 60")


def test_a_process_that_is_killed_while_it_stores_the_rows_leaves_nothing_that_never_begins(operator, monkeypatch):
    monkeypatch.setattr(bulk, "BATCH_ROWS", 40)
    store = BulkBatch.objects.create
    monkeypatch.setattr(BulkBatch.objects, "create", lambda **row: store(**row) if row["number"] == 0 else kill())
    with pytest.raises(Killed):
        act(operator, FILMS, "requeue_posters", films(60), confirmed="1")
    assert [model.objects.count() for model in (BulkAction, BulkBatch, LogEntry)] == [0, 0, 0]


def test_an_action_over_many_rows_is_in_the_history_of_each_row_that_was_reached(operator, monkeypatch):
    monkeypatch.setattr(bulk, "BATCH_ROWS", 25)
    rows = films(70)
    act(operator, FILMS, "pause_posters", rows[1:-1], confirmed="1")
    act(operator, FILMS, "read_again", [rows[30]])
    tried = (1, 2, 26, 27, 69, 70)
    assert [pk for pk in tried if "Pause the poster" in operator.get(f"{FILMS}{pk}/history/").text] == [2, 26, 27, 69]
    history = operator.get(f"{FILMS}31/history/").text
    assert history.index("Pause the poster") < history.index("Read the metadata again")
    assert "2 entries" in " ".join(history.split())


def test_the_history_knows_nothing_of_rows_before_which_it_was_stopped(operator, monkeypatch):
    monkeypatch.setattr(bulk, "BATCH_ROWS", 40)
    monkeypatch.setattr(bulk, "INLINE_SECONDS", 0)
    act(operator, FILMS, "pause_posters", films(60), confirmed="1")
    stored = BulkAction.objects.get()
    done = stored.batches.order_by("number").first()
    BulkBatch.objects.filter(pk=done.pk).update(is_done=True)
    operator.post(reverse("admin:stop_bulk_action", args=[stored.pk]))
    assert [pk for pk in (40, 41) if "Pause" in operator.get(f"{FILMS}{pk}/history/").text] == [40]


def test_it_is_stopped_by_a_button_and_what_was_done_stays(operator, monkeypatch):
    monkeypatch.setattr(bulk, "INLINE_SECONDS", 0)
    rows = films(60, poster_status=PosterStatus.TELEGRAM, telegram_file_id="x")
    act(operator, FILMS, "requeue_posters", rows, confirmed="1")
    began = BulkAction.objects.get()
    page = operator.post(reverse("admin:stop_bulk_action", args=[began.pk]), follow=True)
    assert "Stopped." in page.text
    run_bulk_actions()
    assert not Movie.objects.filter(poster_status=PosterStatus.WAITING).exists()
    assert "olga" in {entry.user.username for entry in LogEntry.objects.all()}


def test_support_sees_no_large_action(client, operator, monkeypatch):
    monkeypatch.setattr(bulk, "INLINE_SECONDS", 0)
    act(operator, FILMS, "requeue_posters", films(60), confirmed="1")
    member = get_user_model().objects.create_user("sasha", is_staff=True)
    member.groups.add(Group.objects.get(name="support"))
    client.force_login(member)
    assert client.get(reverse("admin:bulk_action", args=[BulkAction.objects.get().pk])).status_code == 404


def test_a_requeue_is_taken_back_for_what_is_in_telegram(operator):
    known = films(1, poster_status=PosterStatus.TELEGRAM, telegram_file_id="x")
    act(operator, FILMS, "requeue_posters", known)
    assert told(act(operator, FILMS, "keep_old_posters", known)) == [("info", "1 poster is as it was.")]
    assert Movie.objects.get().poster_status == PosterStatus.TELEGRAM
    Movie.objects.update(telegram_file_id="", poster_status=PosterStatus.WAITING)
    ((level, _text),) = told(act(operator, FILMS, "keep_old_posters", known))
    assert level == "warning"


def test_what_is_requeued_by_hand_goes_first_and_its_page_says_its_place(operator, settings):
    settings.TELEGRAM_POSTER_CHANNELS, settings.TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE = [-1], 20
    rows = films(45, poster_next_try_at=5)
    act(operator, FILMS, "requeue_posters", rows[44:])
    assert Movie.objects.awaiting_download().by_priority(1)[0].pk == 45
    assert "1 · in about 3 s" in operator.get(FILMS + "45/change/").text
    Movie.objects.filter(pk=44).update(poster_next_try_at=6)
    assert "45 · in about 2 min" in operator.get(FILMS + "44/change/").text


def test_an_action_that_fails_keeps_no_other_waiting(operator):
    """The first is of a version that had another action."""
    User.objects.bulk_create([User(pk=1), User(pk=2)])
    for pk, action in ((1, "an_action_of_old"), (2, "ban")):
        stored = BulkAction.objects.create(
            model="users.User", action=action, title="Ban", username="olga", created_at=5, total=1, is_ready=True
        )
        BulkBatch.objects.create(bulk=stored, number=0, keys=[pk])
    with pytest.raises(AttributeError):
        run_bulk_actions()
    assert list(User.objects.banned().values_list("pk", flat=True)) == [2]
    assert BulkAction.objects.get(action="ban").finished_at
    assert not BulkAction.objects.get(action="an_action_of_old").finished_at  # its page has the stop
