"""The admin: what an operator finds, and what a click puts right."""

import html
import re
import time
from decimal import Decimal
from io import BytesIO

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import caches
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from PIL import Image

from config.admin import pagination
from config.jobs.schedules import sync_schedules
from config.models import Heartbeat
from config.monitoring import metrics
from movies.cards import caption
from movies.models import NEVER, Movie, PosterPriority, PosterStatus, normalize_title
from movies.tasks import read_details
from movies.tmdb import TMDb
from posters import thumbnails
from posters.tasks import download_posters, upload_posters
from ratings.models import Import, Rating
from tests.conftest import queued
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
        return Movie.objects.create(id=id, search_text=normalize_title(*titles.values()), **titles, **fields)

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


def test_a_posters_requeue_sends_it_through_the_pipeline_again_and_wakes_a_worker(operator, matrix):
    page = act(operator, FILMS, "requeue_posters", matrix)
    matrix.refresh_from_db()
    assert matrix.poster_status == PosterStatus.WAITING
    assert matrix.telegram_file_id == "AgAC-matrix"  # serves until the new one is in
    assert queued() == ["posters.tasks.download_posters"]
    assert "messagelist" in page.text


def test_people_are_filtered_by_sync_status_and_found_by_both_ids(operator, anna):
    User.objects.create(pk=502, sync_status=SyncStatus.FAILED, sync_error="TMDb refused the session")
    assert found(operator, PEOPLE, sync_status__exact=SyncStatus.FAILED) == [502]
    assert found(operator, PEOPLE, q="501") == found(operator, PEOPLE, q="9001") == [501]
    assert found(operator, PEOPLE, q="anna") == []
    assert "TMDb refused the session" in operator.get(PEOPLE).text


def test_import_again_queues_who_is_connected_and_wakes_a_worker(operator, anna):
    stranger = User.objects.create(pk=502)
    act(operator, PEOPLE, "import_again", anna, stranger)
    anna.refresh_from_db(), stranger.refresh_from_db()
    assert (anna.sync_status, stranger.sync_status) == (SyncStatus.QUEUED, SyncStatus.NOT_CONNECTED)
    assert queued() == ["ratings.tasks.import_ratings"]


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
    of_anna, of_matrix = reverse("admin:ratings_of_user", args=[501]), reverse("admin:ratings_of_movie", args=[603])
    assert of_anna in operator.get(reverse("admin:users_user_change", args=[501])).text
    assert of_matrix in operator.get(reverse("admin:movies_movie_change", args=[603])).text
    assert [row.value for row, _rated_at in operator.get(of_anna).context["rows"]] == [Decimal("7.5")]
    assert [row.user_id for row, _rated_at in operator.get(of_matrix).context["rows"]] == [501]


def test_a_requeued_poster_is_due_from_the_moment_it_was_requeued(matrix):
    before = int(time.time())
    Movie.objects.filter(pk=603).requeue_posters()
    matrix.refresh_from_db()
    assert before - 1 <= matrix.poster_next_try_at <= int(time.time()) + 1


def test_the_front_page_shows_every_widget_and_each_number_leads_somewhere(operator, anna, matrix):
    page = operator.get(reverse("admin:index"))
    assert page.status_code == 200
    assert {widget.id for widget in page.context["widgets"]} == {
        "users", "movies", "posters", "figures", "imports", "training", "watchlists", "failures", "requests",
        "heartbeats", "storage",
    }  # fmt: skip
    for address in set(re.findall(r'href="(/admin/[^"#]*)"', page.text)):
        assert operator.get(html.unescape(address)).status_code == 200, address


# --- People


def test_a_list_says_how_long_it_is_in_words_that_fit_every_number(operator, anna):
    User.objects.create(pk=502)
    operator.cookies["django_language"] = "ru"
    assert "Всего: 2" in " ".join(operator.get(PEOPLE).text.split())


def test_people_are_filtered_by_the_age_of_their_import(operator, anna):
    now = int(time.time())
    User.objects.create(pk=502, last_sync_at=now - 3600, sync_status=SyncStatus.IMPORTED)
    User.objects.create(pk=503)
    assert found(operator, PEOPLE, age="day") == [502]
    assert found(operator, PEOPLE, age="older") == [501]
    assert found(operator, PEOPLE, age="never") == [503]


def test_a_session_is_ended_at_tmdb_and_here(operator, sandbox, connected):
    act(operator, PEOPLE, "disconnect_tmdb", connected)
    connected.refresh_from_db()
    assert not connected.connected
    assert connected.sync_status == SyncStatus.NOT_CONNECTED
    assert [call.path for call in sandbox.tmdb.requests if call.method == "DELETE"] == ["/3/authentication/session"]


def test_forgetting_asks_first_and_then_deletes_all(operator, sandbox, connected, matrix):
    rating = {"tmdb_rating": 8, "normalized_rating": 8, "rated_at": 1}
    Rating.objects.create(user=connected, movie=matrix, **rating)
    question = act(operator, PEOPLE, "delete_data", connected)
    assert "confirmed" in question.text
    assert User.objects.filter(pk=connected.pk).exists()
    act(operator, PEOPLE, "delete_data", connected, confirmed="1")
    assert not User.objects.filter(pk=connected.pk).exists()
    assert not Rating.objects.exists()
    assert operator.get(reverse("admin:users_user_change", args=[connected.pk])).status_code == 302


@pytest.fixture
def connected(sandbox):
    """A person with a session that TMDb knows."""
    account, person = sandbox.tmdb.add_account("anna"), User.objects.create(pk=777)
    person.connect(account.id, sandbox.tmdb.session_for(account))
    return person


def test_an_action_from_a_persons_page_leads_back_to_it(operator, anna):
    answer = act(operator, PEOPLE, "import_again", anna, from_page="1")
    assert answer.redirect_chain == [(reverse("admin:users_user_change", args=[501]), 302)]


def test_imports_are_shown_with_duration_and_failures_by_name(operator, anna, matrix):
    run = {"user": anna, "started_at": 1_700_000_000, "ratings_done": 40, "total_results": 40}
    gaps = {"failed": {"603": {"title": "Матрица"}}}
    Import.objects.create(**run, finished_at=1_700_000_075, added=39, failed=1, names=gaps)
    page = operator.get(reverse("admin:users_user_change", args=[501])).text
    assert "1:15" in page
    assert f'<a href="{reverse("admin:movies_movie_change", args=[603])}">Матрица</a>' in page
    imports = reverse("admin:ratings_import_changelist")
    assert len(found(operator, imports, state="gaps")) == 1
    assert found(operator, imports, state="failed") == found(operator, imports, state="running") == []
    assert len(found(operator, imports, q="501")) == 1


# --- Ratings


def test_ratings_of_a_person_are_paged_and_none_is_left_out_or_shown_twice(operator, anna):
    films = Movie.objects.bulk_create(Movie(id=n, title=f"Film {n}", search_text=f"film {n}") for n in range(1, 121))
    value = {"tmdb_rating": 8, "normalized_rating": 8}
    Rating.objects.bulk_create(Rating(user=anna, movie=one, rated_at=one.id // 7, **value) for one in films)
    address, query, seen = reverse("admin:ratings_of_user", args=[501]), {}, []
    while True:
        page = operator.get(address, query).context
        seen += [row.movie_id for row, _rated_at in page["rows"]]
        if not page["next_cursor"]:
            break
        query = {"after": page["next_cursor"]}
    assert seen == sorted(range(1, 121), key=lambda n: (-(n // 7), -n))
    assert [row.movie_id for row, _rated_at in operator.get(address, {"q": "FILM 77"}).context["rows"]] == [77]


@pytest.mark.parametrize("after", ["", "x", "1", "1.x", "1.2.3", "9" * 40 + ".1", "-1.-1", "٣.٣"])
def test_a_made_up_cursor_is_no_error(operator, anna, after):
    assert operator.get(reverse("admin:ratings_of_user", args=[501]), {"after": after}).status_code == 200


@pytest.mark.parametrize("typed", ["\0", "\0film", "%", "'"])
def test_odd_characters_in_a_search_are_no_error(operator, anna, matrix, typed):
    for name, key in (("ratings_of_user", 501), ("ratings_of_movie", 603)):
        assert operator.get(reverse(f"admin:{name}", args=[key]), {"q": typed}).status_code == 200


# --- Films


def test_films_are_filtered_by_their_place_in_the_poster_pipeline_and_the_age_of_metadata(operator, film):
    now = int(time.time())
    waiting = {"poster_path": "/p.jpg", "poster_status": PosterStatus.WAITING, "details_at": now}
    film(1, "Asked", **waiting, poster_priority=PosterPriority.ASKED)
    film(2, "Later", **waiting | {"poster_next_try_at": now + 600, "details_at": now - 130 * 86_400})
    film(3, "Aside", **waiting | {"poster_next_try_at": NEVER, "poster_error": "no picture", "details_at": None})
    film(4, "Gone", poster_path="/p.jpg", poster_error="TMDb has no such image", details_at=now - 200 * 86_400)
    assert found(operator, FILMS, poster="asked") == [1]
    assert found(operator, FILMS, poster="due") == [1]
    assert found(operator, FILMS, poster="later") == [2]
    assert found(operator, FILMS, poster="failed") == [4, 3]
    assert found(operator, FILMS, read="fresh") == [1]
    assert found(operator, FILMS, read="ripe") == [2]
    assert found(operator, FILMS, read="old") == [4]
    assert found(operator, FILMS, read="never") == [3]


def test_films_are_filtered_by_year_and_decade(operator, film, matrix):
    film(1, "Old", release_date="1915-01-01"), film(2, "Undated")
    assert found(operator, FILMS, year="1999") == found(operator, FILMS, year="1990s") == [603]
    assert found(operator, FILMS, year="earlier") == [1]
    assert found(operator, FILMS, year="unknown") == [2]
    assert found(operator, FILMS, year="x") == [603, 2, 1]


def test_a_poster_is_paused_with_a_reason_and_resumed(operator, film):
    movie = film(1, "Film", poster_path="/p.jpg", poster_status=PosterStatus.WAITING)
    act(operator, FILMS, "pause_posters", movie)
    assert not Movie.objects.awaiting_download().exists()
    page = operator.get(reverse("admin:movies_movie_change", args=[1])).text
    assert "paused by olga" in page
    act(operator, FILMS, "resume_posters", movie)
    assert Movie.objects.awaiting_download().get() == movie
    assert queued() == ["posters.tasks.download_posters"]


def test_metadata_are_read_again(operator, sandbox, film):
    movie = film(603, "Old title", details_at=int(time.time()))
    act(operator, FILMS, "read_again", movie)
    assert queued() == ["movies.tasks.read_details"]
    read_details()
    movie.refresh_from_db()
    assert movie.title == "Матрица"


def test_a_card_is_previewed_as_the_chat_shows_it_in_both_languages(operator, sandbox, matrix):
    page = operator.get(reverse("admin:movies_card", args=[603]))
    shown = Movie.objects.with_user_rating(None).get(pk=603)
    assert [card["language"] for card in page.context["cards"]] == ["ru", "en"]
    for card in page.context["cards"]:
        with translation.override(card["language"]):
            assert card["caption"] == caption(shown)
        assert card["caption"] in page.text
        assert card["rows"][0] == ["1", "2", "3", "4", "5"]
    assert operator.get(reverse("admin:movies_card", args=[1])).status_code == 404


# --- Pictures


def test_a_thumbnail_comes_from_the_local_file_before_telegram_has_the_poster(operator, sandbox, film):
    movie = film(603, "Матрица", poster_path=TMDb().movie(603)["poster_path"], poster_status=PosterStatus.WAITING)
    download_posters()
    movie.refresh_from_db()
    assert movie.local_path
    picture = operator.get(reverse("admin:thumbnail", args=[603]))
    assert picture.headers["Content-Type"] == "image/jpeg"
    assert "private" in picture.headers["Cache-Control"]
    assert max(Image.open(BytesIO(picture.content)).size) <= 600
    assert not [call for call in sandbox.telegram.calls if call.method == "getFile"]


def test_a_thumbnail_comes_from_telegram_once_and_then_from_the_disk(operator, sandbox, film):
    film(603, "Матрица", poster_path=TMDb().movie(603)["poster_path"], poster_status=PosterStatus.WAITING)
    download_posters(), upload_posters()
    for _again in range(3):
        assert operator.get(reverse("admin:thumbnail", args=[603])).status_code == 200
    assert len([call for call in sandbox.telegram.calls if call.method == "getFile"]) == 1


def test_no_poster_or_no_telegram_is_no_picture_and_no_error(operator, sandbox, matrix):
    assert operator.get(reverse("admin:thumbnail", args=[603])).status_code == 404  # Telegram does not know the file
    assert operator.get(reverse("admin:thumbnail", args=[1])).status_code == 404
    Movie.objects.filter(pk=603).update(poster_status=PosterStatus.LOCAL, local_path="/etc/passwd", telegram_file_id="")
    assert operator.get(reverse("admin:thumbnail", args=[603])).status_code == 404


def test_only_thumbnails_are_deleted_from_their_folder_when_there_are_too_many(settings, tmp_path, monkeypatch):
    settings.THUMBNAIL_DIR = tmp_path
    monkeypatch.setattr(thumbnails, "MAX_CACHED_FILES", 3)
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    for number in range(5):
        thumbnails.save_to_cache(tmp_path / f"{number:040}.jpg", b"x")
    assert (tmp_path / "holiday.jpg").exists()
    assert not (tmp_path / f"{0:040}.jpg").exists()


# --- The front page


def widget(client, name):
    return next(one for one in client.get(reverse("admin:index")).context["widgets"] if one.id == name)


def test_the_bar_of_films_adds_up_and_names_the_one_that_waits_longest(operator, film, matrix):
    now = int(time.time())
    waiting = {"poster_path": "/p.jpg", "poster_status": PosterStatus.WAITING}
    film(1, "Newer", **waiting, poster_next_try_at=now - 60)
    film(2, "Oldest", **waiting, poster_next_try_at=now - 7200, poster_error="TMDb did not answer")
    film(3, "Later", **waiting, poster_next_try_at=now + 60)
    films = widget(operator, "movies")
    assert films.total == 4 == sum(status.number for status in films.statuses)
    assert "Oldest" in films.notes[0].text
    assert "TMDb did not answer" in films.notes[0].text


def test_the_front_page_counts_the_uploads_of_a_day_by_the_hour(operator, sandbox, film):
    film(603, "Матрица", poster_path=TMDb().movie(603)["poster_path"], poster_status=PosterStatus.WAITING)
    download_posters(), upload_posters()
    metrics.flush()
    posters = widget(operator, "posters")
    assert (posters.total, posters.peak) == (1, 1)
    assert posters.chart.count("<rect") == 24


def test_the_front_page_shows_running_imports_and_failures_by_cause(operator, anna):
    now = int(time.time())
    Import.objects.create(user=anna, started_at=now - 30, ratings_done=120, total_results=840)
    for person in (601, 602):
        failed = User.objects.create(pk=person)
        Import.objects.create(user=failed, started_at=now - 60, finished_at=now, error="TMDb refused the session")
    error = "TMDb has no such image (/w500/x.jpg: 404)"
    Movie.objects.create(id=1, poster_path="/x.jpg", poster_error=error, poster_failed_at=now)
    assert widget(operator, "imports").number == "1"
    assert "120" in widget(operator, "imports").running[0].outcome
    causes = [(cause, number) for _what, cause, number, _url in widget(operator, "failures").rows]
    assert causes == [("TMDb refused the session", 2), ("TMDb has no such image (404)", 1)]


def test_a_component_without_heartbeats_is_shown_as_late(operator):
    sync_schedules()
    Heartbeat.objects.create(kind="bot", name="here", seen_at=time.time() - 3600, doing="polling")
    Heartbeat.objects.create(kind="worker", name="here 1", seen_at=time.time(), doing="")
    Heartbeat.objects.create(kind="schedule", name="upload posters", seen_at=time.time(), doing="failed: boom")
    late = {(row.kind, row.name): row.late for row in widget(operator, "heartbeats").rows}
    with translation.override("ru"):
        assert late[_("bot"), "here"]
        assert not late[_("worker"), "here 1"]
        assert late[_("schedule"), _("upload posters")]
        assert late[_("schedule"), _("read film details")]  # never


def test_a_cluster_without_heartbeats_has_a_row_of_its_own(operator, settings):
    settings.Q_CLUSTERS = True
    for name in ("here kinoteka 1", "here posters 2"):
        Heartbeat.objects.create(kind="worker", name=name, seen_at=time.time(), doing="")
    with translation.override("ru"):
        late = [row.name for row in widget(operator, "heartbeats").rows if row.late and row.kind == _("worker")]
    assert late == ["imports"]


def test_the_widgets_come_alone_for_the_script_that_refreshes_them(operator, matrix):
    page = operator.get(reverse("admin:dashboard"))
    assert page.status_code == 200
    assert "<html" not in page.text
    assert 'id="movies"' in page.text


def test_large_tables_are_counted_once_a_minute(operator, film, monkeypatch):
    monkeypatch.setattr(metrics, "EXACT_COUNT_LIMIT", 2)
    caches["local"].clear()
    for number in range(1, 5):
        film(number, f"Film {number}")
    assert widget(operator, "movies").total == 4
    film(5, "Film 5")
    assert widget(operator, "movies").total == 4  # as last counted
    now = time.time() + metrics.STATUS_COUNTS_TTL_SECONDS + 1
    with monkeypatch.context() as later:
        later.setattr(time, "time", lambda: now)
        assert widget(operator, "movies").total == 5
    caches["local"].clear()


def test_a_page_asks_the_same_number_of_queries_however_much_there_is(operator, anna, film):
    film(1, "Film 1")
    pages = [reverse("admin:index"), FILMS, PEOPLE, reverse("admin:ratings_of_user", args=[501])]
    few = [queries(operator, page) for page in pages]
    films = [
        film(number, f"Film {number}", poster_path="/p.jpg", poster_status=number % 3) for number in range(4, 300, 3)
    ]
    rating = {"tmdb_rating": 8, "normalized_rating": 8, "rated_at": 1}
    Rating.objects.bulk_create(Rating(user=anna, movie=one, **rating) for one in films)
    User.objects.bulk_create(User(pk=1000 + number) for number in range(100))
    many = [queries(operator, page) for page in pages]
    assert all(later <= before + 3 for before, later in zip(few, many, strict=True)), (few, many)


def queries(client, address):
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address).status_code == 200
    return len(asked)


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite counts exactly; lists are estimated on PostgreSQL"
)
def test_an_estimated_list_is_paged_to_its_end_and_none_is_left_out_or_shown_twice(operator, monkeypatch):
    monkeypatch.setattr(pagination, "MAX_EXACT_COUNT", 60)
    monkeypatch.setattr(pagination, "MAX_PAGES", 2)
    Movie.objects.bulk_create(Movie(id=number, title=f"Film {number}") for number in range(1, 331))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE movies")
    address, seen = FILMS, []
    while address:
        page = operator.get(address).context["cl"]
        seen += [row.pk for row in page.result_list]
        more = page.page_num < page.paginator.num_pages
        address = FILMS + page.get_query_string({"p": page.page_num + 1}) if more else page.next_by_key()
        address = address and (address if address.startswith("/") else FILMS + address)
    assert seen == list(range(330, 0, -1))


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite counts exactly; lists are estimated on PostgreSQL"
)
def test_no_page_of_a_list_counts_a_whole_table(operator, monkeypatch):
    monkeypatch.setattr(pagination, "MAX_EXACT_COUNT", 60)
    Movie.objects.bulk_create(Movie(id=number, title=f"Film {number}") for number in range(1, 331))
    with CaptureQueriesContext(connection) as asked:
        page = operator.get(FILMS)
    assert "≈" in page.text
    counts = [query["sql"] for query in asked if "COUNT(*)" in query["sql"]]
    assert counts
    assert all("LIMIT" in sql for sql in counts)


# --- Finding the way


def test_the_front_page_lists_people_and_films_first_and_accounts_last(operator):
    apps = [app["app_label"] for app in operator.get(reverse("admin:index")).context["app_list"]]
    assert apps == ["users", "movies", "ratings", "django_q", "auth"]


def test_breadcrumbs_name_each_list_once_and_each_row(operator, anna, matrix):
    operator.cookies["django_language"] = "en"
    change, ratings = reverse("admin:users_user_change", args=[501]), reverse("admin:ratings_of_user", args=[501])
    trails = {PEOPLE: "Home › People", change: "Home › People › 501"}
    trails |= {ratings: "Home › People › 501 › Ratings of 501", FILMS: "Home › Films"}
    for address, trail in trails.items():
        page = operator.get(address).text
        block = re.search(r'<div class="breadcrumbs">(.*?)</div>', page, re.DOTALL)[1]
        assert " ".join(html.unescape(re.sub(r"<[^>]*>", " ", block)).split()) == trail
    assert "<h1>People</h1>" in operator.get(PEOPLE).text


def test_a_missing_thumbnail_is_no_line_in_the_log(operator, sandbox, matrix, caplog):
    with caplog.at_level("INFO", logger="django.request"), caplog.at_level("INFO", logger="posters.admin"):
        assert operator.get(reverse("admin:thumbnail", args=[603])).status_code == 404
    assert not [record for record in caplog.records if record.name in ("django.request", "posters.admin")]


def test_people_who_share_a_tmdb_account_are_seen_to(operator, anna):
    operator.cookies["django_language"] = "en"
    address = reverse("admin:users_user_change", args=[501])
    assert "9001" in operator.get(address).text
    assert "also linked by" not in operator.get(address).text
    User.objects.create(pk=502).connect(9001, SESSION)
    assert "9001 (also linked by 1 other person)" in operator.get(address).text


def test_the_question_before_data_are_deleted_says_what_goes(operator, anna, matrix):
    operator.cookies["django_language"] = "en"
    Rating.objects.create(user=anna, movie=matrix, tmdb_rating=8, normalized_rating=8, rated_at=1)
    Import.objects.create(user=anna, started_at=1)
    page = " ".join(act(operator, PEOPLE, "delete_data", anna).text.split())
    assert "Delete everything about 501?" in page
    assert "1 rating, 1 import" in page
