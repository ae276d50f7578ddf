"""Who writes to the bot is known by name, since when and by which link; who is banned is not answered."""

import time

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from config.bot import drop_notice
from config.bot.dispatch import handle_update
from ratings import tasks
from ratings.chat import taste_match
from ratings.files import report
from ratings.insights.taste_match import TasteMatch
from ratings.models import FileImport
from ratings.tmdb_sync import outbox
from tests.helpers.imports import linked, sync
from tests.helpers.updates import message
from users.models import User, names_of
from users.visits import LAST_SEEN_STEP_SECONDS, visits

pytestmark = pytest.mark.django_db

PEOPLE = reverse("admin:users_user_changelist")


@pytest.fixture
def operator(client):
    client.force_login(get_user_model().objects.create_superuser("olga"))
    return client


def row(person):
    return User.objects.get(pk=person.id)


def named(text="Матрица", first_name="Анна", username=None, update_id=1):
    update = message(update_id, text)
    update["message"]["from"]["first_name"] = first_name
    if username:
        update["message"]["from"]["username"] = username
    return update


def found(client, query):
    return [person.pk for person in client.get(PEOPLE, {"q": query}).context["cl"].result_list]


def act(client, action, person):
    return client.post(PEOPLE, {"action": action, "_selected_action": [person.id]}, follow=True)


def test_a_first_message_stores_the_names_the_moment_and_the_link(sandbox, anna, handle):
    before = int(time.time())
    anna.send("/start ad_summer")
    handle()
    stored = row(anna)
    assert (stored.first_name, stored.came_by) == ("Anna", "ad_summer")
    assert before <= stored.first_seen_at == stored.last_seen_at <= time.time()


def test_a_title_alone_makes_somebody_known(sandbox, anna, handle):
    anna.send("no such film at all")
    handle()
    assert row(anna).first_seen_at
    assert row(anna).language == "en"


@pytest.mark.parametrize("payload", ["tmdb", "movie_603", "match_abc", "help"])
def test_our_own_links_are_no_origin(sandbox, anna, handle, payload):
    anna.send(f"/start {payload}")
    anna.send("/start first")
    anna.send("/start second")
    handle()
    assert row(anna).came_by == "first"


def test_a_new_name_replaces_the_old_one_and_nothing_else_costs_a_write(sandbox):
    handle_update(named(username="anna_k"))
    User.objects.filter(pk=501).update(first_seen_at=5)
    with CaptureQueriesContext(connection) as queries:
        handle_update(named(username="anna_k"))
    assert not [query for query in queries if 'UPDATE "users"' in query["sql"] or "INSERT" in query["sql"]]
    handle_update(named(first_name="Аня"))
    stored = User.objects.get(pk=501)
    assert (stored.first_name, stored.username, stored.first_seen_at) == ("Аня", "", 5)


def test_the_moment_of_the_last_visit_is_written_once_an_hour(sandbox):
    handle_update(named())
    old = int(time.time()) - LAST_SEEN_STEP_SECONDS - 5
    User.objects.filter(pk=501).update(last_seen_at=old)
    handle_update(named())
    assert User.objects.get(pk=501).last_seen_at == old
    visits.written.clear()  # as after an hour, or in another process
    handle_update(named())
    assert User.objects.get(pk=501).last_seen_at > old


def test_forget_takes_the_names_along(sandbox, anna, handle):
    anna.send("/start ad")
    anna.send("/forget")
    handle()
    anna.press(anna.chat[-1], text="Delete everything")
    handle()
    assert not User.objects.filter(pk=anna.id).exists()
    anna.send("Матрица")
    handle()
    assert row(anna).came_by == ""


def test_who_is_banned_gets_no_answer_until_the_ban_is_lifted(sandbox, anna, handle, operator):
    anna.send("/start")
    handle()
    act(operator, "ban", anna)
    assert row(anna).banned_at
    assert "Lift the ban" in operator.get(f"{PEOPLE}{anna.id}/change/", headers={"accept-language": "en"}).text
    before = len(anna.chat)
    anna.send("/help")
    anna.press(anna.chat[-2], text="Start rating")
    handle()
    assert len(anna.chat) == before + 1
    act(operator, "lift_ban", anna)
    assert row(anna).banned_at is None
    anna.send("/help")
    handle()
    assert len(anna.chat) > before + 2


def test_who_is_banned_is_told_of_no_import_file_or_rating_and_not_that_they_are_too_fast(sandbox, anna):
    user = linked(sandbox, anna, "anna")
    User.objects.filter(pk=user.pk).update(banned_at=1)
    before = len(anna.chat)
    sync(user)
    assert user.imports.get().finished_at
    file = FileImport.objects.create(user=user, telegram_file_id="x", sent_at=1, finished_at=int(time.time()))
    report.notify(file)
    outbox.notify(User.objects.get(pk=user.pk), "TMDb refused your rating")
    taste_match.notify_owner(user.pk, 502, TasteMatch(common=0))
    visits.forget_bans()
    assert drop_notice.call_for(message(1, "x", anna.id)) is None
    assert len(anna.chat) == before
    User.objects.filter(pk=user.pk).update(last_sync_at=1)
    assert tasks.queue_daily_imports() == "0 queued"


def test_another_process_hears_of_a_ban_within_a_second(sandbox, anna, handle):
    anna.send("/start")
    handle()
    User.objects.filter(pk=anna.id).update(banned_at=int(time.time()))
    visits.bans_valid_until = 0.0  # a second later
    before = len(anna.chat)
    anna.send("/help")
    handle()
    assert len(anna.chat) == before + 1


@pytest.mark.parametrize(
    "query", ["анн", "АННА", "алён", "Ален", "@anna_k", "anna_", "70000", "7000000005", "9001", "анна @anna"]
)
def test_people_are_found_by_name_username_and_the_beginning_of_an_id(operator, query):
    User.objects.create(pk=7_000_000_005, tmdb_account_id=9001, **names_of("Anna_K", "Анна Алёна"))
    User.objects.create(pk=8_000_000_005, **names_of("boris", "Борис"))
    handle = found(operator, query)
    assert handle == [7_000_000_005] or (query == "анна @anna" and handle == [])


def test_a_search_finds_all_of_a_name_however_many(operator):
    names = names_of("", "Анна")
    User.objects.bulk_create([User(pk=100_000 + number, **names) for number in range(510)])
    assert operator.get(PEOPLE, {"q": "анна"}).context["cl"].queryset.count() == 510


def test_nobody_is_found_by_what_is_only_a_pattern(operator):
    User.objects.create(pk=1)
    assert found(operator, "%") == []
