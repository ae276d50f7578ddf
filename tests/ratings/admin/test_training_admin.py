"""Builds of recommendations in the back office: what came of each, and a button for another."""

import time

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.urls import reverse

from config.jobs.locks import lock
from ratings.models import Build
from ratings.recommendations import training_process
from ratings.recommendations.training import DIED, build
from tests.conftest import queued, wait_until
from tests.ratings.recommendations.test_training import lease_runs_out, movielens, people, save

pytestmark = pytest.mark.django_db(transaction=True)

BUILDS, NOW = reverse("admin:ratings_build_changelist"), reverse("admin:build_now")


@pytest.fixture
def olga(client):
    """A browser in which a superuser is logged in."""
    cache.clear()
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
    client.force_login(get_user_model().objects.create_superuser("olga"))
    return client


def test_a_build_is_listed_with_what_came_of_it_and_who_asked(olga):
    save(people(40))
    call_command("build_recommendations")
    page = olga.get(BUILDS).text
    for words in ("serves", "the command line", ">40<", ">30<", ">420<"):
        assert words in page, words
    build()
    assert "skipped: little had changed" in olga.get(BUILDS).text
    assert "neighbours of these films, learned from 40 people" in olga.get(reverse("admin:index")).text


def test_the_button_has_the_worker_build_and_the_front_page_tells_how_far_it_is(olga, start):
    save(people(40))
    build()
    assert "Build now" in olga.get(BUILDS).text
    page = olga.post(NOW, follow=True)
    assert "begins as soon as a worker is free" in page.text
    assert queued() == ["ratings.tasks.build_apart"]
    assert "under way already" in olga.post(NOW, follow=True).text
    worker = start("qcluster")
    wait_until(lambda: Build.objects.current().asked_by == "olga", 90, lambda: worker.output)
    assert ">olga<" in olga.get(BUILDS).text


def test_one_that_runs_is_shown_with_its_step_and_no_other_is_begun_beside_it(olga):
    Build.objects.create(started_at=int(time.time()) - 7200, progress="writing neighbours: film 63 of 8746")
    with lock(training_process.LEASE):
        for address in (reverse("admin:index"), BUILDS):
            assert "writing neighbours: 63 / 8746" in olga.get(address).text
        assert "under way already" in olga.post(NOW, follow=True).text
    assert queued() == []


def test_one_that_was_killed_is_said_to_be_dead_as_soon_as_its_lease_has_run_out(olga, start):
    save(people(300, films=400, each=60))
    process = start("build_recommendations", "--force")
    process.wait_for_line("counting")
    process.kill()
    killed = Build.objects.get()
    assert [row.pk for row in shown(olga, "running")] == [killed.pk]
    lease_runs_out()
    for address in (reverse("admin:index"), BUILDS, reverse("admin:ratings_build_change", args=[killed.pk])):
        page = olga.get(address).text
        assert "ended without a word" in page, address
        assert "rated together" not in page, address
    assert "Build now" in olga.get(reverse("admin:index")).text
    assert (shown(olga, "running"), [row.pk for row in shown(olga, "failed")]) == ([], [killed.pk])
    olga.post(NOW)
    assert queued() == ["ratings.tasks.build_apart"]


def shown(olga, state):
    return list(olga.get(BUILDS, {"state": state}).context["cl"].result_list)


def test_looking_at_the_address_of_the_button_builds_nothing(olga):
    assert olga.get(NOW).status_code == 405
    assert queued() == []


def test_why_nothing_came_of_a_build_stands_in_the_list_and_among_the_failures(olga, tmp_path):
    save(people(40))
    serving = build()
    died = Build.objects.create(started_at=int(time.time()) - 100, progress="reading the ratings")
    folder = movielens(tmp_path, ratings="userId,movieId,rating,timestamp\n1,1,50,5\n")
    with pytest.raises(CommandError):
        call_command("build_recommendations", movielens=str(folder))
    (folder / "links.csv").write_text("nothing")
    with pytest.raises(CommandError):
        call_command("build_recommendations", movielens=str(folder))
    died.refresh_from_db()
    assert died.error == DIED
    for address in (BUILDS, reverse("admin:index")):
        page = olga.get(address).text
        for words in ("no rating of 0.5-5 stars", "this is no MovieLens file", "ended without a word"):
            assert words in page, (address, words)
    assert Build.objects.current() == serving
    assert [row.pk for row in shown(olga, "done")] == [serving.pk]


def test_builds_that_fail_all_night_do_not_push_out_the_one_that_serves(olga):
    save(people(40))
    serving = build()
    for _again in range(60):
        Build.objects.create(started_at=1, error="ValueError")
    build(force=True)
    assert Build.objects.filter(pk=serving.pk).exists()
    assert Build.objects.count() <= 52
