"""Who guesses passwords has to wait, and others do not."""

import re
import time

import pytest
from django.core.cache import cache
from django.db.models import F
from django.test import Client
from django.urls import reverse

from config.admin import login_throttle
from config.admin.login_throttle import LIMITS, Attempt, Kind
from config.models import LoginAttempts

pytestmark = pytest.mark.django_db

PASSWORD = "a long enough password"


@pytest.fixture
def olga(django_user_model):
    return django_user_model.objects.create_user("olga", password=PASSWORD, is_staff=True)


def log_in(browser, name="olga", password=PASSWORD, address="10.0.0.1", **headers):
    form = {"username": name, "password": password}
    return browser.post(reverse("admin:login"), form, REMOTE_ADDR=address, **headers).status_code


def later(seconds):
    LoginAttempts.objects.update(locked_until=F("locked_until") - seconds, expires_at=F("expires_at") - seconds)


def fail(browser, times, **login):
    assert [log_in(browser, password=f"guess {n}", **login) for n in range(times)] == [200] * times


def test_who_keeps_guessing_waits_longer_and_longer(client, olga):
    for minutes in (15, 30, 60):
        fail(client, 5)
        assert log_in(client) == 429
        later(minutes * 60 - 5)
        assert log_in(client) == 429
        later(5)
    assert log_in(client) == 302


def test_no_wait_is_longer_than_a_day_and_a_quiet_day_forgets_all(client, olga):
    LoginAttempts.objects.create(
        kind=Kind.NAME_AND_ADDRESS, name="olga", address="10.0.0.1", failures=499, expires_at=time.time() + 60
    )
    fail(client, 1)
    later(login_throttle.MAX_LOCK_SECONDS - 5)
    assert log_in(client) == 429
    later(login_throttle.FORGET_SECONDS + 5)
    assert login_throttle.delete_old() == 3
    fail(client, 5)
    later(15 * 60)
    assert log_in(client) == 302


def test_a_stranger_does_not_lock_the_operator_out(client, olga):
    stranger = Client()
    for _ in range(60):
        log_in(stranger, password="guess", address="10.6.6.6")
        later(20)
    assert log_in(client) == 302


def test_a_stranger_behind_the_operators_own_address_does_not_either_once_the_browser_is_known(client, olga):
    assert log_in(client) == 302
    client.post(reverse("admin:logout"))
    stranger = Client()
    for number in range(40):
        log_in(stranger, name=f"u{number}" if number % 2 else "olga", password="guess")
    assert log_in(stranger) == 429
    assert log_in(client) == 302


def test_the_cookie_of_a_known_browser_opens_no_other_name_and_cannot_be_made_up(client, olga, django_user_model):
    django_user_model.objects.create_user("root", password=PASSWORD, is_staff=True)
    assert log_in(client) == 302
    fail(client, 5, name="root")
    assert log_in(client, name="root") == 429
    fail(client, 5)
    assert log_in(client) == 429
    client.cookies["login_device"] = "made up"
    fail(client, 5)
    assert log_in(client) == 429


def test_many_addresses_do_not_guess_one_name_and_who_has_logged_in_before_is_let_in(client, olga):
    assert log_in(client, address="10.0.0.1") == 302
    guesses = [log_in(Client(), password="guess", address=f"10.1.{n}.1") for n in range(LIMITS[Kind.NAME] + 5)]
    assert guesses == [200] * LIMITS[Kind.NAME] + [429] * 5
    assert log_in(Client(), address="10.2.0.1") == 429
    assert log_in(client, address="10.2.0.2") == 302
    assert log_in(Client(), address="10.0.0.1") == 302
    assert log_in(Client(), name="other", password="guess", address="10.2.0.3") == 200


def test_guessing_many_names_is_throttled_too(client):
    statuses = [log_in(client, name=f"u{n}", password="x") for n in range(22)]
    assert statuses == [200] * 20 + [429] * 2


def test_a_good_password_forgets_the_bad_ones(client, olga):
    fail(client, 4)
    assert log_in(client) == 302
    fail(Client(), 4)
    assert log_in(Client()) == 302


def test_who_is_logged_in_guesses_no_other_name_unthrottled(client, olga, django_user_model):
    django_user_model.objects.create_user("root", password=PASSWORD, is_staff=True)
    assert log_in(client) == 302
    fail(client, 5, name="root")
    assert log_in(client, name="root") == 429


def test_guesses_at_the_same_moment_are_all_counted(client, olga):
    for _ in range(5):
        assert Attempt("olga", "10.0.0.1").begin() == 0
    assert Attempt("olga", "10.0.0.1").begin() > 0


def test_behind_a_proxy_the_last_address_it_names_counts(client, olga, settings):
    settings.TRUST_PROXY = True
    for _ in range(20):
        log_in(Client(), password="guess", HTTP_X_FORWARDED_FOR="10.0.0.1, 10.6.6.6", address="127.0.0.1")
    assert log_in(Client(), HTTP_X_FORWARDED_FOR="10.6.6.6", address="127.0.0.1") == 429
    assert log_in(client, HTTP_X_FORWARDED_FOR="10.6.6.6, 10.0.0.1", address="127.0.0.1") == 302


def test_without_a_proxy_what_a_stranger_says_of_addresses_is_not_believed(client, olga):
    assert [log_in(client, password="x", HTTP_X_FORWARDED_FOR=f"10.0.0.{n}") for n in range(6)] == [200] * 5 + [429]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("[2001:db8::1]:4711", "2001:db8::1", True),
        ("10.0.0.1:4711", "10.0.0.1", True),
        ("unknown", "nonsense\n", True),
    ],
)
def test_addresses_of_one_subscriber_count_as_one(one, other, same):
    assert (login_throttle.subscriber(one) == login_throttle.subscriber(other)) is same


def test_names_that_django_takes_for_one_count_as_one(client, olga):
    names = ["olga", "OLGA", "ｏｌｇａ", " olga ", "Olga"]
    assert [log_in(client, name=name, password="x") for name in names] == [200] * 5
    assert log_in(client) == 429


@pytest.mark.parametrize("name", ["", "\0", "x" * 10_000, "a\nb", "😀"])
def test_odd_names_are_no_error(client, name):
    assert log_in(client, name=name, password="x") == 200


def test_a_failure_is_logged_with_name_and_address_on_one_line_without_the_password(client, caplog, olga):
    with caplog.at_level("WARNING"):
        log_in(client, name="olga\nroot", password="a-secret-guess", address="10.6.6.6")
        fail(client, 5, address="10.6.6.6")
        log_in(client, address="10.6.6.6")
    lines = [record.getMessage() for record in caplog.records if record.name == "config.admin.login_throttle"]
    assert lines[0] == "login of 'olga\\nroot' from 10.6.6.6 failed"
    assert lines[-2] == "login of 'olga' from 10.6.6.6 failed; the next is let in after 15 min"
    assert lines[-1] == "login of 'olga' from 10.6.6.6 refused for 15 min"
    assert "a-secret-guess" not in caplog.text
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize(("language", "words"), [("en", "Try again in 15 minutes"), ("ru", "через 15 минут")])
def test_the_page_says_how_long_to_wait_in_both_languages(client, olga, language, words):
    client.cookies["django_language"] = language
    fail(client, 5)
    form = {"username": "olga", "password": PASSWORD}
    page = client.post(reverse("admin:login"), form, REMOTE_ADDR="10.0.0.1")
    assert words in page.text
    assert 840 < int(page.headers["Retry-After"]) <= 900


def test_hundreds_of_searches_forget_no_lockout_and_push_nothing_out_of_the_cache(client, olga):
    cache.clear()
    fail(client, 5)
    cache.set("first", 1)
    for number in range(400):
        cache.set(f"search:{number}", [1])
    assert cache.get("first")
    cache.clear()
    assert log_in(client) == 429


def test_a_lockout_is_shown_and_lifted_in_the_admin(admin_client, client, olga):
    admin_client.cookies["django_language"] = "en"
    fail(Client(), 5)
    page = reverse("admin:config_loginattempts_changelist")
    assert re.search("olga.*10.0.0.1", admin_client.get(page, {"state": "locked"}).text, re.DOTALL)
    locked = LoginAttempts.objects.get(kind=Kind.NAME_AND_ADDRESS)
    form = {"action": "lift", "_selected_action": [locked.pk]}
    assert "1 lockout lifted" in admin_client.post(page, form, follow=True).text
    assert log_in(Client()) == 302
