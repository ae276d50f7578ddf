"""The admin as an operator uses it all day: in a browser, from the keyboard, on a phone, in the dark."""

import re
import time

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.urls import reverse
from playwright.sync_api import expect

from config.models import MetricCount
from config.monitoring import heartbeats, metrics
from movies.catalogue import fetch_movie
from movies.models import Movie, PosterStatus
from movies.saving import save_movies
from movies.tmdb import TMDb
from ratings.models import Import, Rating, TrainingRun
from tests.conftest import wait_until
from users.models import SyncStatus, User

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a long enough password"
FILMS = [603, 604, 238, 550]


@pytest.fixture
def admin_url(sandbox, live_server):
    """The address of an admin with some films, people and counts in it, and an operator to log in."""
    groups = Group.objects.filter(name="operators")
    olga = get_user_model().objects.create_user("olga", password=PASSWORD, is_staff=True)
    olga.groups.set(groups or [operators()])
    save_movies([fetch_movie(movie_id, TMDb()) for movie_id in FILMS])
    anna = User.objects.create(pk=501, sync_status=SyncStatus.IMPORTED, last_sync_at=int(time.time()) - 60)
    User.objects.create(pk=502, sync_status=SyncStatus.FAILED, sync_error="TMDb refused the session")
    for movie in Movie.objects.all():
        Rating.objects.create(user=anna, movie=movie, tmdb_rating=8, normalized_rating=8, rated_at=1_700_000_000)
    Import.objects.create(user=anna, started_at=int(time.time()) - 90, ratings_done=40, total_results=120)
    MetricCount.objects.create(name="tmdb.requests", minute=int(time.time()) // 60 * 60, number=7)
    TrainingRun.objects.create(started_at=5, finished_at=65, movies=9000, neighbours=450_000, users=700, ratings=90_000)
    TrainingRun.objects.create(started_at=66, error="links.csv holds no TMDb ids", triggered_by="olga")
    TrainingRun.objects.create(started_at=int(time.time()), progress="writing neighbours: film 63 of 8746")
    heartbeats.record_heartbeat("bot", "here", "polling")
    metrics.flush()
    return live_server.url


def operators():
    """The group, where a transactional test before this one has emptied the tables."""
    from importlib import import_module

    from django.apps import apps

    import_module("config.migrations.0004_groups").make(apps, None)
    import_module("ratings.migrations.0006_builds_in_the_office").let_operators_build(apps, None)
    import_module("ratings.migrations.0009_standard_names").rename_permissions(apps, None)
    import_module("users.migrations.0010_groups").make(apps, None)
    return Group.objects.get(name="operators")


@pytest.fixture
def olga(page, admin_url):
    """Her browser, logged in."""
    log_in(page, admin_url)
    return page


def log_in(page, admin_url):
    page.goto(admin_url + reverse("admin:index"))
    page.fill("#id_username", "olga")
    page.fill("#id_password", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#dashboard")).to_be_visible()


def test_a_poster_is_requeued_and_seen_to_travel_to_telegram(olga, start):
    start("qcluster", METRICS_FLUSH_SECONDS="0.5")
    there = PosterStatus.TELEGRAM.value
    uploaded = olga.locator(f'#movies li a[href$="poster_status__exact={there}"]')
    expect(uploaded.locator("b")).to_have_text("0")
    # the front page refreshes by itself as posters come into the channel
    expect(uploaded.locator("b")).not_to_have_text("0", timeout=60_000)
    wait_until(lambda: Movie.objects.filter(pk__in=FILMS, poster_status=there).count() == len(FILMS), 60)
    uploaded.click()
    olga.fill("#searchbar", "МАТРИЦА")
    olga.keyboard.press("Enter")
    expect(olga.locator("#result_list tbody tr", has_not_text="Матрица")).to_have_count(0)
    before = Movie.objects.get(pk=603).telegram_file_id
    olga.check('input.action-select[value="603"]')
    olga.select_option("select[name=action]", "requeue_posters")
    olga.locator("button[name=index]").click()
    expect(olga.locator(".messagelist li")).to_contain_text("1")
    olga.goto(re.sub(r"/admin/.*", reverse("admin:movies_movie_change", args=[603]), olga.url))
    wait_until(lambda: Movie.objects.get(pk=603).telegram_file_id != before, 60)
    olga.reload()
    expect(olga.locator(".field-poster .state")).to_have_class("state good")
    expect(olga.locator("img.thumbnail")).to_have_js_property("complete", True)
    assert olga.locator("img.thumbnail").evaluate("image => image.naturalWidth") > 100


def test_the_front_page_refreshes_by_itself_and_keeps_the_focus(olga):
    link = olga.locator('#users a[href*="exact=-1"]')
    expect(link.locator("b")).to_have_text("1")
    link.focus()
    User.objects.create(pk=503, sync_status=SyncStatus.FAILED)
    expect(link.locator("b")).to_have_text("2", timeout=20_000)
    expect(link).to_be_focused()


def test_numbers_that_cannot_be_refreshed_say_so(chromium, admin_url):
    context = chromium.new_context()  # of its own: the browser complains of the refused request, as it should
    page = context.new_page()
    log_in(page, admin_url)
    page.route("**/dashboard/", lambda route: route.abort())
    expect(page.locator("#stale")).to_be_visible(timeout=20_000)
    page.unroute("**/dashboard/")
    expect(page.locator("#stale")).to_be_hidden(timeout=30_000)
    context.close()


def test_a_films_card_is_shown_as_the_chat_shows_it_in_both_languages(olga, admin_url):
    olga.goto(admin_url + reverse("admin:movies_movie_change", args=[603]))
    olga.locator(".object-tools a").first.click()
    cards = olga.locator("article.card")
    expect(cards).to_have_count(2)
    for card, title in zip(cards.all(), ("Матрица", "The Matrix"), strict=True):
        expect(card.locator("b").first).to_have_text(title)
        expect(card.locator(".buttons span").first).to_have_text("1")


def test_everything_is_reached_from_the_keyboard(olga, admin_url):
    olga.keyboard.press("Tab")
    expect(olga.locator(".skip-to-content-link")).to_be_focused()
    olga.keyboard.press("Enter")
    olga.keyboard.press("Tab")
    expect(olga.locator("#users h2 a")).to_be_focused()
    olga.keyboard.press("Tab")
    olga.keyboard.press("Enter")
    olga.wait_for_url("**/users/user/**")


def test_times_are_in_the_viewers_zone(chromium, admin_url):
    context = chromium.new_context(locale="en-US", timezone_id="Asia/Kolkata")
    page = context.new_page()
    log_in(page, admin_url)
    User.objects.filter(pk=501).update(last_sync_at=1_700_000_000)  # 22:13 UTC
    page.goto(admin_url + reverse("admin:users_user_change", args=[501]))
    expect(page.locator(".field-last_import time")).to_have_text("15 November 2023, 03:43")
    context.close()


PAGES = [
    reverse("admin:index"),
    reverse("admin:users_user_changelist"),
    reverse("admin:users_user_change", args=[501]),
    reverse("admin:ratings_of_user", args=[501]),
    reverse("admin:write_to_user", args=[501]),
    reverse("admin:ratings_import_changelist"),
    reverse("admin:ratings_trainingrun_changelist"),
    reverse("admin:movies_movie_changelist"),
    reverse("admin:movies_movie_change", args=[603]),
    reverse("admin:movies_card", args=[603]),
    reverse("admin:counters"),
    reverse("admin:django_q_schedule_changelist"),
]


BROKEN_WORDS = """[...document.querySelectorAll('#content td, #content th')].flatMap(cell => {
    const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), range = document.createRange(), found = []
    for (let text; (text = texts.nextNode());)
        for (const word of text.data.matchAll(/\\p{L}{4,}/gu)) {
            range.setStart(text, word.index)
            range.setEnd(text, word.index + word[0].length)
            if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) found.push(word[0])
        }
    return found
})"""


def test_no_word_of_a_table_is_broken_on_a_phone(chromium, admin_url):
    context = chromium.new_context(viewport={"width": 390, "height": 850}, locale="ru-RU")
    page = context.new_page()
    log_in(page, admin_url)
    for address in PAGES:
        page.goto(admin_url + address)
        assert not page.evaluate(BROKEN_WORDS), address
    context.close()


def test_a_menu_leads_from_page_to_page_on_a_phone(chromium, admin_url):
    context = chromium.new_context(viewport={"width": 390, "height": 850}, locale="ru-RU")
    page = context.new_page()
    log_in(page, admin_url)
    for address, name in ((reverse("admin:counters"), "Люди"), (reverse("admin:users_user_changelist"), "Фильмы")):
        page.goto(admin_url + address)
        page.get_by_text("Меню", exact=True).click()
        page.locator(".phone-menu").get_by_role("link", name=name, exact=True).click()
        expect(page.locator("#content h1")).to_have_text(name)
    context.close()


def test_every_column_of_a_list_is_in_view_at_1400_pixels(chromium, admin_url):
    User.objects.filter(pk=501).update(
        first_name="Константин", username="a_username_of_thirty_letters_1", first_seen_at=1, last_seen_at=1_795_900_000
    )
    context = chromium.new_context(viewport={"width": 1400, "height": 850}, locale="ru-RU")
    page = context.new_page()
    log_in(page, admin_url)
    for address in PAGES:
        page.goto(admin_url + address)
        hidden = page.evaluate(
            "[...document.querySelectorAll('.results, .scroll')].some(box => box.scrollWidth > box.clientWidth)"
        )
        assert not hidden, address
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390], ids=["desktop", "phone"])
def test_no_page_has_a_serious_finding_of_axe_or_scrolls_sideways(chromium, admin_url, theme, width):
    Movie.objects.filter(pk=604).update(poster_status=PosterStatus.NONE, poster_error="TMDb has no such image")
    Movie.objects.filter(pk=238).update(poster_status=PosterStatus.LOCAL)
    Movie.objects.filter(pk=550).update(poster_status=PosterStatus.TELEGRAM, telegram_file_id="AgAC")
    User.objects.create(pk=503, sync_status=SyncStatus.QUEUED)
    # axe brings styles of its own, which our policy forbids
    viewport = {"width": width, "height": 850}
    context = chromium.new_context(bypass_csp=True, color_scheme=theme, viewport=viewport)
    page = context.new_page()
    log_in(page, admin_url)
    for address in PAGES:
        page.goto(admin_url + address)
        serious = [
            (one["id"], node["html"][:200], node.get("failureSummary"))
            for one in Axe().run(page).response["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
        assert not serious, (address, serious)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
    context.close()
