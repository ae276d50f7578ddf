"""Training runs of the recommendations in the admin: the result of each, and a button for another."""

import time

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.urls import reverse

from config.jobs.locks import lock
from ratings.models import TrainingRun
from ratings.recommendations import training_process
from ratings.recommendations.training import DIED, train
from tests.conftest import queued, wait_until
from tests.ratings.recommendations.test_training import lease_runs_out, movielens, people, save

pytestmark = pytest.mark.django_db(transaction=True)

RUNS, START = reverse("admin:ratings_trainingrun_changelist"), reverse("admin:start_training")


@pytest.fixture
def olga(client):
    """A browser in which a superuser is logged in."""
    cache.clear()
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
    client.force_login(get_user_model().objects.create_superuser("olga"))
    return client


def test_a_run_is_listed_with_its_result_and_who_started_it(olga):
    save(people(40))
    call_command("build_recommendations")
    page = olga.get(RUNS).text
    for words in ("in use", "the command line", ">40<", ">30<", ">420<"):
        assert words in page, words
    train()
    assert "skipped: little had changed" in olga.get(RUNS).text
    assert "neighbours of these films, learned from 40 people" in olga.get(reverse("admin:index")).text


def test_the_button_has_a_worker_train_and_the_front_page_shows_its_progress(olga, start):
    save(people(40))
    train()
    assert "Train now" in olga.get(RUNS).text
    page = olga.post(START, follow=True)
    assert "starts as soon as a worker is free" in page.text
    assert queued() == ["ratings.tasks.train_recommendations"]
    assert "already running" in olga.post(START, follow=True).text
    worker = start("qcluster")
    wait_until(lambda: TrainingRun.objects.current().triggered_by == "olga", 90, lambda: worker.output)
    assert ">olga<" in olga.get(RUNS).text


def test_a_running_one_is_shown_with_its_phase_and_no_other_is_started_meanwhile(olga):
    TrainingRun.objects.create(started_at=int(time.time()) - 7200, progress="writing neighbours: film 63 of 8746")
    with lock(training_process.LOCK_NAME):
        for address in (reverse("admin:index"), RUNS):
            assert "writing neighbours: 63 / 8746" in olga.get(address).text
        assert "already running" in olga.post(START, follow=True).text
    assert queued() == []


def test_one_that_was_killed_is_shown_as_failed_once_its_lease_has_expired(olga, start):
    save(people(300, films=400, each=60))
    process = start("build_recommendations", "--force")
    process.wait_for_line("counting")
    process.kill()
    killed = TrainingRun.objects.get()
    assert [row.pk for row in shown(olga, "running")] == [killed.pk]
    lease_runs_out()
    for address in (reverse("admin:index"), RUNS, reverse("admin:ratings_trainingrun_change", args=[killed.pk])):
        page = olga.get(address).text
        assert "ended abruptly" in page, address
        assert "rated together" not in page, address
    assert "Train now" in olga.get(reverse("admin:index")).text
    assert (shown(olga, "running"), [row.pk for row in shown(olga, "failed")]) == ([], [killed.pk])
    olga.post(START)
    assert queued() == ["ratings.tasks.train_recommendations"]


def shown(olga, state):
    return list(olga.get(RUNS, {"state": state}).context["cl"].result_list)


def test_a_get_of_the_buttons_address_starts_nothing(olga):
    assert olga.get(START).status_code == 405
    assert queued() == []


def test_why_nothing_came_of_a_build_stands_in_the_list_and_among_the_failures(olga, tmp_path):
    save(people(40))
    serving = train()
    died = TrainingRun.objects.create(started_at=int(time.time()) - 100, progress="reading the ratings")
    folder = movielens(tmp_path, ratings="userId,movieId,rating,timestamp\n1,1,50,5\n")
    with pytest.raises(CommandError):
        call_command("build_recommendations", movielens=str(folder))
    (folder / "links.csv").write_text("nothing")
    with pytest.raises(CommandError):
        call_command("build_recommendations", movielens=str(folder))
    died.refresh_from_db()
    assert died.error == DIED
    for address in (RUNS, reverse("admin:index")):
        page = olga.get(address).text
        for words in ("no rating of 0.5-5 stars", "this is no MovieLens file", "ended abruptly"):
            assert words in page, (address, words)
    assert TrainingRun.objects.current() == serving
    assert [row.pk for row in shown(olga, "done")] == [serving.pk]


def test_runs_that_fail_all_night_do_not_push_out_the_one_in_use(olga):
    save(people(40))
    serving = train()
    for _again in range(60):
        TrainingRun.objects.create(started_at=1, error="ValueError")
    train(force=True)
    assert TrainingRun.objects.filter(pk=serving.pk).exists()
    assert TrainingRun.objects.count() <= 52
