"""The back office: what an operator finds, and what a click puts right."""

import html
import re
import time
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse
from django_q.models import OrmQ

from movies.models import Movie, PosterStatus, searchable
from ratings.models import Rating
from users.models import SyncStatus, User

pytestmark = pytest.mark.django_db

FILMS = reverse("admin:movies_movie_changelist")
PEOPLE = reverse("admin:users_user_changelist")
SESSION = "5e55105e55105e55105e55105e55105e55105e55"


@pytest.fixture
def operator(client):
    """A browser in which a superuser is logged in."""
    client.force_login(get_user_model().objects.create_superuser("olga"))
    return client


@pytest.fixture
def film():
    """film(603, "Матрица", …): a film of the table."""

    def make(id, title, original_title="", **fields):
        titles = {"title": title, "original_title": original_title or title}
        return Movie.objects.create(id=id, search_text=searchable(*titles.values()), **titles, **fields)

    return make


@pytest.fixture
def matrix(film):
    uploaded = {"poster_status": PosterStatus.TELEGRAM, "poster_path": "/matrix.jpg", "telegram_file_id": "AgAC-matrix"}
    return film(603, "Матрица", "The Matrix", release_date="1999-03-31", **uploaded)


@pytest.fixture
def anna():
    anna = User.objects.create(pk=501, ratings_count=2)
    anna.connect(9001, SESSION)
    User.objects.filter(pk=501).update(sync_status=SyncStatus.IMPORTED, last_sync_at=1_700_000_000)
    anna.refresh_from_db()
    return anna


def found(client, address, **query):
    """The keys of the rows on a list."""
    return [row.pk for row in client.get(address, query).context["cl"].result_list]


def act(client, address, action, *rows, **more):
    data = {"action": action, "_selected_action": [row.pk for row in rows], **more}
    return client.post(address, data, follow=True)


def bells():
    return [job.func() for job in OrmQ.objects.all()]


def test_films_are_filtered_by_poster_status(operator, matrix, film):
    waiting = film(604, "Матрица: Перезагрузка", poster_status=PosterStatus.WAITING)
    assert found(operator, FILMS, poster_status__exact=PosterStatus.WAITING) == [waiting.pk]
    assert found(operator, FILMS) == [604, 603]


@pytest.mark.parametrize("words", ["матрица", "МАТРИЦ", "matrix", "the MATRIX", "603", "  Матрица "])
def test_a_film_is_found_in_any_script_and_case_and_by_its_id(operator, matrix, film, words):
    film(238, "Крёстный отец", "The Godfather")
    assert found(operator, FILMS, q=words) == [603]


def test_yo_is_found_as_ye(operator, film):
    film(238, "Крёстный отец", "The Godfather")
    assert found(operator, FILMS, q="крестный") == found(operator, FILMS, q="КРЁСТНЫЙ") == [238]


def test_a_posters_requeue_sends_it_through_the_pipeline_again_and_rings_the_bell(operator, matrix):
    page = act(operator, FILMS, "requeue_posters", matrix)
    matrix.refresh_from_db()
    assert matrix.poster_status == PosterStatus.WAITING
    assert matrix.telegram_file_id == "AgAC-matrix"  # serves until the new one is in
    assert bells() == ["posters.tasks.download_posters"]
    assert "messagelist" in page.text


def test_people_are_filtered_by_sync_status_and_found_by_both_ids(operator, anna):
    User.objects.create(pk=502, sync_status=SyncStatus.FAILED, sync_error="TMDb refused the session")
    assert found(operator, PEOPLE, sync_status__exact=SyncStatus.FAILED) == [502]
    assert found(operator, PEOPLE, q="501") == found(operator, PEOPLE, q="9001") == [501]
    assert found(operator, PEOPLE, q="anna") == []
    assert "TMDb refused the session" in operator.get(PEOPLE).text


def test_import_again_queues_who_is_connected_and_rings_the_bell(operator, anna):
    stranger = User.objects.create(pk=502)
    act(operator, PEOPLE, "import_again", anna, stranger)
    anna.refresh_from_db(), stranger.refresh_from_db()
    assert (anna.sync_status, stranger.sync_status) == (SyncStatus.QUEUED, SyncStatus.NOT_CONNECTED)
    assert bells() == ["ratings.tasks.import_ratings"]


def test_no_session_stands_in_any_page(operator, anna, matrix):
    stored = User.objects.values_list("tmdb_session_id", flat=True).get(pk=501)
    for address in (PEOPLE, reverse("admin:users_user_change", args=[501]), f"{PEOPLE}?q=501"):
        page = operator.get(address).text
        assert stored not in page
        assert SESSION not in page
        assert "session_id" not in page


def test_what_was_imported_cannot_be_edited_added_or_deleted(operator, anna, matrix):
    for model, row in (("movies_movie", 603), ("users_user", 501)):
        change = reverse(f"admin:{model}_change", args=[row])
        page = operator.get(change)
        assert page.status_code == 200
        assert 'name="_save"' not in page.text
        assert operator.post(change, {"title": "Matrix", "_save": "1"}).status_code == 403
        assert operator.get(reverse(f"admin:{model}_add")).status_code == 403
        assert operator.post(reverse(f"admin:{model}_delete", args=[row]), {"post": "yes"}).status_code == 403
    matrix.refresh_from_db()
    assert matrix.title == "Матрица"


def test_a_person_and_a_film_show_their_ratings(operator, anna, matrix):
    Rating.objects.create(user=anna, movie=matrix, tmdb_rating="7.5", normalized_rating="7.5", rated_at=1_700_000_000)
    of_anna, of_matrix = reverse("admin:ratings_of_person", args=[501]), reverse("admin:ratings_of_film", args=[603])
    assert of_anna in operator.get(reverse("admin:users_user_change", args=[501])).text
    assert of_matrix in operator.get(reverse("admin:movies_movie_change", args=[603])).text
    assert [row.value for row in operator.get(of_anna).context["rows"]] == [Decimal("7.5")]
    assert [row.user_id for row in operator.get(of_matrix).context["rows"]] == [501]


def test_a_requeued_poster_is_due_from_the_moment_it_was_requeued(matrix):
    before = int(time.time())
    Movie.objects.filter(pk=603).requeue_posters()
    matrix.refresh_from_db()
    assert before - 1 <= matrix.poster_next_try_at <= int(time.time()) + 1


def test_the_front_page_shows_every_panel_and_each_figure_leads_somewhere(operator, anna, matrix):
    page = operator.get(reverse("admin:index"))
    assert page.status_code == 200
    assert {panel["id"] for panel in page.context["panels"]} == {
        "people", "films", "posters", "imports", "failures", "requests", "signs", "space",
    }  # fmt: skip
    for address in set(re.findall(r'href="(/admin/[^"#]*)"', page.text)):
        assert operator.get(html.unescape(address)).status_code == 200, address
