"""Who may do what in the admin, and what its pages allow no one."""

import html
import re
import time
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.urls import reverse
from django.utils import timezone
from django_q.models import Failure, Schedule, Task
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.jobs.schedules import PAUSED, SCHEDULES, sync_schedules
from config.jobs.tasks import delete_old_records
from config.models import Heartbeat, MetricCount, UpdateFailure
from movies.models import Movie, PosterStatus
from ratings.models import Import, Rating, TrainingRun
from tests.conftest import queued
from users.models import SyncStatus, User

pytestmark = pytest.mark.django_db

PASSWORD = "a long enough password"


@pytest.fixture
def member(client):
    """member("support"): a browser in which a member of this group is logged in."""

    def log_in(group):
        person = get_user_model().objects.create_user("sasha", password=PASSWORD, is_staff=True)
        person.groups.add(Group.objects.get(name=group))
        client.force_login(person)
        return client

    return log_in


@pytest.fixture
def rows():
    """A film and a person with a rating and an import."""
    movie = Movie.objects.create(pk=603, title="Матрица", poster_path="/m.jpg", poster_status=PosterStatus.WAITING)
    person = User.objects.create(pk=501, tmdb_session_id="sealed", sync_status=SyncStatus.IMPORTED)
    Rating.objects.create(user=person, movie=movie, tmdb_rating=8, normalized_rating=8, rated_at=1)
    Import.objects.create(user=person, started_at=1, finished_at=2)
    return movie, person


def widgets(client):
    return {widget.id for widget in client.get(reverse("admin:index")).context["widgets"]}


def act(client, page, action, pk, **more):
    address = reverse(f"admin:{page}_changelist")
    return client.post(address, {"action": action, "_selected_action": [pk], **more}, follow=True)


# --- Groups


def test_support_looks_at_people_and_films_only(member, rows):
    client = member("support")
    assert widgets(client) == {"users", "movies", "posters", "figures", "failures"}
    for name, args in (
        ("movies_movie_changelist", []),
        ("movies_movie_change", [603]),
        ("movies_card", [603]),
        ("users_user_changelist", []),
        ("users_user_change", [501]),
        ("ratings_of_user", [501]),
        ("ratings_of_movie", [603]),
    ):
        assert client.get(reverse(f"admin:{name}", args=args)).status_code == 200, name
    for name in (
        "django_q_schedule_changelist",
        "django_q_failure_changelist",
        "auth_user_changelist",
        "counters",
        "storage",
    ):
        assert client.get(reverse(f"admin:{name}")).status_code == 403, name


def test_support_has_no_actions(member, rows):
    client = member("support")
    assert 'name="from_page"' not in client.get(reverse("admin:movies_movie_change", args=[603])).text
    assert 'name="action"' not in client.get(reverse("admin:movies_movie_change", args=[603])).text
    assert 'name="action"' not in client.get(reverse("admin:users_user_changelist")).text
    for page, action, pk in (
        ("movies_movie", "requeue_posters", 603),
        ("movies_movie", "pause_posters", 603),
        ("users_user", "import_again", 501),
        ("users_user", "disconnect_tmdb", 501),
        ("users_user", "delete_data", 501),
    ):
        act(client, page, action, pk, confirmed="1")
    assert User.objects.get(pk=501).sync_status == SyncStatus.IMPORTED
    assert User.objects.get(pk=501).connected
    assert queued() == []


def test_broadcasts_belong_to_a_group_of_their_own(member, rows):
    held = {
        group.name: set(group.permissions.filter(content_type__app_label="users").values_list("codename", flat=True))
        for group in Group.objects.all()
    }
    assert "send_broadcast" in held["broadcasters"]
    assert not any("broadcast" in name for name in held["support"] | held["operators"])
    assert {"add_directmessage", "view_messagetemplate"} <= held["support"] & held["operators"]
    assert "change_messagetemplate" in held["operators"] - held["support"]


def test_support_neither_sees_training_runs_nor_starts_one(member, rows):
    client = member("support")
    assert client.get(reverse("admin:ratings_trainingrun_changelist")).status_code == 403
    assert client.post(reverse("admin:start_training")).status_code == 403
    assert queued() == []


def test_operators_see_everything_and_act_but_manage_no_accounts(member, rows):
    client = member("operators")
    assert widgets(client) == {
        *("users", "movies", "posters", "figures", "imports"),
        *("training", "watchlists", "failures", "requests", "heartbeats", "storage"),
    }
    act(client, "users_user", "import_again", 501)
    assert User.objects.get(pk=501).sync_status == SyncStatus.QUEUED
    assert client.get(reverse("admin:auth_user_changelist")).status_code == 403


def test_every_link_of_the_front_page_leads_somewhere_for_each_group(member, rows):
    sync_schedules()
    for group in ("operators", "support"):
        client = member(group)
        front = client.get(reverse("admin:index")).text
        for address in set(re.findall(r'href="(/admin/[^"#]*)"', front)):
            assert client.get(html.unescape(address)).status_code == 200, (group, address)
        get_user_model().objects.all().delete()


def test_nobody_sees_anything_without_logging_in(client, rows):
    for name, args in (
        ("index", []),
        ("dashboard", []),
        ("thumbnail", [603]),
        ("ratings_of_user", [501]),
        ("movies_card", [603]),
        ("counters", []),
        ("storage", []),
    ):
        answer = client.get(reverse(f"admin:{name}", args=args))
        assert answer.status_code == 302, name
        assert answer.url.startswith(reverse("admin:login"))


def test_actions_are_not_done_by_a_get(member, rows):
    client = member("operators")
    client.get(reverse("admin:users_user_changelist"), {"action": "import_again", "_selected_action": 501})
    assert User.objects.get(pk=501).sync_status == SyncStatus.IMPORTED


def test_a_post_without_the_token_of_its_page_is_refused(rows, django_user_model):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(django_user_model.objects.create_superuser("root"))
    assert act(client, "users_user", "import_again", 501).status_code == 403


# --- Jobs


def test_nobody_edits_adds_or_deletes_a_schedule(member, admin_user):
    sync_schedules()
    job = Schedule.objects.get(name="upload posters")
    page = reverse("admin:django_q_schedule_change", args=[job.pk])
    client = member("operators")
    for _who in ("an operator", "a superuser"):
        assert client.get(page).status_code == 200
        assert client.post(page, {"func": "os.system", "minutes": "7"}).status_code == 403
        assert client.get(reverse("admin:django_q_schedule_add")).status_code == 403
        assert client.post(reverse("admin:django_q_schedule_delete", args=[job.pk])).status_code == 403
        client.force_login(admin_user)
    job.refresh_from_db()
    assert (job.func, job.minutes) == SCHEDULES["upload posters"]


def test_a_paused_schedule_stays_paused_over_a_migrate_until_it_is_resumed(member):
    sync_schedules()
    job = Schedule.objects.get(name="upload posters")
    client = member("operators")
    act(client, "django_q_schedule", "pause", job.pk)
    Schedule.objects.filter(pk=job.pk).update(name="what an older version called it")
    sync_schedules()
    act(client, "django_q_schedule", "run_now", job.pk)
    job.refresh_from_db()
    assert job.repeats == PAUSED
    client.cookies["django_language"] = "en"
    assert "paused" in client.get(reverse("admin:django_q_schedule_changelist")).text
    (row,) = [
        row
        for widget in client.get(reverse("admin:index")).context["widgets"]
        if widget.id == "heartbeats"
        for row in widget.rows
        if row.name == "upload posters"
    ]
    assert (row.activity, row.late) == ("paused", False)
    act(client, "django_q_schedule", "resume", job.pk)
    job.refresh_from_db()
    assert (job.repeats, job.next_run <= timezone.now()) == (-1, True)


def test_a_schedule_is_run_now(member):
    sync_schedules()
    job = Schedule.objects.get(name="read film details")
    Schedule.objects.filter(pk=job.pk).update(next_run=timezone.now() + timedelta(days=1))
    act(member("operators"), "django_q_schedule", "run_now", job.pk)
    job.refresh_from_db()
    assert job.next_run <= timezone.now()


def test_a_failed_job_is_shown_by_its_cause_and_resubmitted(member):
    now = timezone.now()
    error = f"boom : Traceback\nValueError: {'5e55105e' * 5}"
    job = {"func": "users.tasks.revoke_sessions", "started": now, "stopped": now, "success": False}
    Task.objects.create(id="a" * 32, name="one", result=error, **job)
    client = member("operators")
    front = client.get(reverse("admin:index"))
    assert ": ValueError: ***" in front.text
    assert "5e55105e" not in front.text
    act(client, "django_q_failure", "resubmit", "a" * 32)
    assert queued() == ["users.tasks.revoke_sessions"]
    assert not Failure.objects.exists()


def test_failed_jobs_are_listed_by_name_and_last_line_and_filtered_by_cause(member):
    now = timezone.now()
    job = {"func": "ratings.tasks.import_ratings", "started": now, "stopped": now, "success": False}
    for pk, error in (("a", "boom"), ("b", "boom"), ("c", "other")):
        Task.objects.create(id=pk * 32, name=pk, result=f"x : Traceback\n  File y\nValueError: {error}", **job)
    client = member("operators")
    client.cookies["django_language"] = "en"
    page = " ".join(client.get(reverse("admin:django_q_failure_changelist")).text.split())
    assert "import ratings" in page
    assert "ValueError: boom (2)" in page
    assert "Traceback" not in page
    shown = client.get(reverse("admin:django_q_failure_changelist"), {"cause": "ValueError: other"})
    assert [failure.pk for failure in shown.context["cl"].result_list] == ["c" * 32]


def test_schedules_are_listed_in_the_viewers_language_with_their_latest_result(member):
    sync_schedules()
    now = timezone.now()
    Task.objects.create(id="a" * 32, name="x", func="x", started=now, stopped=now, success=True, result="3 done")
    Schedule.objects.filter(name="upload posters").update(task="a" * 32)
    client = member("operators")
    client.cookies["django_language"] = "ru"
    page = client.get(reverse("admin:django_q_schedule_changelist")).text
    assert "отправка постеров в Telegram" in page
    assert reverse("admin:django_q_success_change", args=["a" * 32]) in page
    assert "upload posters" not in page


def test_what_a_job_came_to_is_told_in_the_viewers_language(member):
    sync_schedules()
    results = [
        ("movies.tasks.read_details", "3 done, 1 gone from TMDb, 0 failed, 2 postponed"),
        ("ratings.tasks.remind_of_watchlists", "4 asked, 5 release dates read, 6 told"),
        ("ratings.tasks.run_evenings", "7 steps"),
        ("movies.tasks.edit_cards", "8 edited"),
    ]
    for number, (func, result) in enumerate(results):
        now = timezone.now()
        Task.objects.create(
            id=str(number) * 32, name="black-cat", func=func, started=now, stopped=now, success=True, result=result
        )
    Heartbeat.objects.create(kind="schedule", name="resume film evenings", seen_at=time.time(), doing="7 steps")
    client = member("operators")
    client.cookies["django_language"] = "ru"
    jobs = client.get(reverse("admin:django_q_success_changelist")).text
    for words in ("готово: 3, пропало с TMDb: 1", "дат выхода прочитано: 5, сообщено: 6", "шагов: 7", "исправлено: 8"):
        assert words in jobs
    assert "black-cat" not in jobs
    assert "шагов: 7" in client.get(reverse("admin:index")).text


def test_a_schedules_page_and_its_history_are_headed_by_what_it_does(member):
    sync_schedules()
    job = Schedule.objects.get(name="upload posters")
    client = member("operators")
    client.cookies["django_language"] = "ru"
    act(client, "django_q_schedule", "pause", job.pk)
    for page in ("change", "history"):
        text = client.get(reverse(f"admin:django_q_schedule_{page}", args=[job.pk])).text
        assert text.count("отправка постеров в Telegram") >= 2, page  # its heading, and where one is
    assert "отправка постеров в Telegram" in LogEntry.objects.get().object_repr


def test_failed_jobs_go_after_a_month():
    for days in (29, 31):
        then = timezone.now() - timedelta(days=days)
        Task.objects.create(id=f"{days}" * 16, name="x", func="x", started=then, stopped=then, success=False)
    assert delete_old_records() == "0 logins, 1 failed jobs deleted"
    assert Failure.objects.get().pk == "29" * 16


def test_every_answer_carries_a_policy_without_anything_unsafe(client, rows):
    for address in (reverse("admin:login"), reverse("admin:index"), "/no-such-page"):
        policy = client.get(address).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_no_page_has_inline_scripts_styles_or_anything_from_elsewhere(admin_client, rows):
    sync_schedules()
    for name, args in (
        ("index", []),
        ("movies_movie_changelist", []),
        ("movies_movie_change", [603]),
        ("movies_card", [603]),
        ("users_user_changelist", []),
        ("users_user_change", [501]),
        ("ratings_of_user", [501]),
        ("ratings_import_changelist", []),
        ("ratings_trainingrun_changelist", []),
        ("django_q_schedule_changelist", []),
        ("counters", []),
        ("storage", []),
    ):
        page = admin_client.get(reverse(f"admin:{name}", args=args)).text
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>\s*\S", page), name
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page), name
        assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", page), name


HOSTILE = st.sampled_from(
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}", "<b>", "&lt;i&gt;", "' onmouseover='x"]
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=HOSTILE, overview=HOSTILE, error=HOSTILE)
def test_what_comes_from_outside_is_never_markup(admin_client, title, overview, error):
    mark = f"<x-{title}>"
    Movie.objects.update_or_create(
        pk=603,
        defaults={
            "title": mark,
            "original_title": mark,
            "overview": f"<x-{overview}>",
            "poster_path": "/m.jpg",
            "poster_error": f"<x-{error}>",
            "poster_status": PosterStatus.WAITING,
        },
    )
    person, _ = User.objects.update_or_create(
        pk=501, defaults={"sync_error": f"<x-{error}>", "sync_status": SyncStatus.FAILED}
    )
    movie = Movie.objects.get(pk=603)
    rating = {"tmdb_rating": 8, "normalized_rating": 8, "rated_at": 1}
    Rating.objects.update_or_create(user=person, movie=movie, defaults=rating)
    names = {"failed": {"603": {"title": mark}}}
    finished = int(time.time())
    run, _ = Import.objects.update_or_create(
        user=person, defaults={"started_at": 1, "finished_at": finished, "error": f"<x-{error}>", "names": names}
    )
    said = {"error": f"<x-{error}>", "triggered_by": mark, "archive": mark, "progress": mark}
    training, _ = TrainingRun.objects.update_or_create(pk=1, defaults={"started_at": finished, **said})
    for name, args in (
        ("index", []),
        ("movies_movie_changelist", []),
        ("movies_movie_change", [603]),
        ("movies_card", [603]),
        ("users_user_changelist", []),
        ("users_user_change", [501]),
        ("ratings_of_user", [501]),
        ("ratings_of_movie", [603]),
        ("ratings_import_changelist", []),
        ("ratings_import_change", [run.pk]),
        ("ratings_trainingrun_changelist", []),
        ("ratings_trainingrun_change", [training.pk]),
    ):
        assert "<x-" not in admin_client.get(reverse(f"admin:{name}", args=args)).text, name


def test_failed_updates_are_counted_in_full_and_each_cause_leads_to_just_those(member):
    now = int(time.time())
    row = {"traceback": "Traceback …", "failed_at": now}
    UpdateFailure.objects.bulk_create(
        UpdateFailure(code=f"u{n}", handler="movies.bot.on_text", error="boom", **row) for n in range(300)
    )
    UpdateFailure.objects.create(code="u999", handler="users.bot.start", error="other", **row)
    client = member("operators")
    (widget,) = [one for one in client.get(reverse("admin:index")).context["widgets"] if one.id == "failures"]
    assert widget.total == 301
    first = widget.rows[0]
    assert (first.cause, first.number) == ("movies.bot.on_text: boom", 300)
    assert client.get(widget.rows[1].url).context["cl"].result_count == 1
    found = client.get(reverse("admin:config_updatefailure_changelist"), {"q": "u999"}).context["cl"].result_list
    (failure,) = found
    assert "Traceback …" in client.get(reverse("admin:config_updatefailure_change", args=[failure.pk])).text


def test_failed_posters_of_the_day_are_counted_by_film_and_each_cause_leads_to_just_those(member):
    now = int(time.time())
    errors = {
        1: ("TMDb has no such image (/w500/a1.jpg: 404)", now),
        2: ("TMDb has no such image (/w500/b2.jpg: 404)", now),
        3: ("TMDb has no such image (/w500/c3.jpg: 404)", now - 2 * 86_400),  # of another day
        4: ("12000 × 9000 pixels are too many", now),
        5: ("10001 × 15000 pixels are too many", now),
        6: ("an empty file", now),
        7: ("paused by olga", None),
        8: ("", now),  # there by now
    }
    Movie.objects.bulk_create(
        Movie(id=pk, poster_path="/p", poster_status=0, poster_error=error, poster_failed_at=failed_at)
        for pk, (error, failed_at) in errors.items()
    )
    MetricCount.objects.create(name="failed:posters:an empty file", minute=now // 60 * 60, number=5)  # tried five times
    client = member("operators")
    (widget,) = [one for one in client.get(reverse("admin:index")).context["widgets"] if one.id == "failures"]
    listed = {row.cause: [film.pk for film in client.get(row.url).context["cl"].result_list] for row in widget.rows}
    assert listed.pop("an empty file") == [6]
    assert listed.pop("… × … pixels are too many") == [5, 4]
    assert listed == {"TMDb has no such image (404)": [2, 1]}
    assert (widget.total, [row.number for row in widget.rows]) == (5, [2, 2, 1])


def test_our_groups_are_named_in_the_viewers_language_and_keep_their_names(admin_client):
    Group.objects.create(name="Ночная смена")
    page = admin_client.get(reverse("admin:auth_group_changelist"))
    assert "операторы" in page.text
    names = ["Ночная смена", "broadcasters", "operators", "support"]
    assert sorted(Group.objects.values_list("name", flat=True)) == sorted(names)
    account = admin_client.get(reverse("admin:auth_user_change", args=[admin_client.get("/admin/").context["user"].pk]))
    for title in ("поддержка", "операторы", "рассылки", "Ночная смена"):
        assert f">{title}</option>" in account.text


def test_permissions_are_named_in_the_viewers_language(admin_client):
    address = reverse("admin:auth_group_change", args=[Group.objects.get(name="broadcasters").pk])
    english = admin_client.get(address, headers={"accept-language": "en"}).text
    assert "People | broadcast | may send broadcasts" in english
    page = admin_client.get(address).text
    assert "Люди | рассылка | отправка рассылок" in page
    assert "Can " not in page
