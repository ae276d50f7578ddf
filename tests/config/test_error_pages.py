"""Errors have pages of our own, in both languages, that tell nobody anything they should not know."""

import pytest
from django.core.exceptions import SuspiciousOperation
from django.test import Client
from django.urls import path, reverse

from config.urls import handler500, urlpatterns  # noqa: F401
from tests.helpers.secret_leak_harness import view

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


def nonsense(request):
    raise SuspiciousOperation("a secret")


urlpatterns = [*urlpatterns, path("spill/", view), path("nonsense/", nonsense)]


@pytest.fixture
def support(django_user_model):
    """A browser of somebody who may see no page of the admin but the front one."""
    client = Client(raise_request_exception=False, enforce_csrf_checks=True)
    client.force_login(django_user_model.objects.create_user("sasha", is_staff=True))
    return client


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["No such page", "Not allowed", "open for too long", "Something broke", "cannot be read"]),
        ("ru", ["Нет такой страницы", "Нет доступа", "слишком долго", "Что-то сломалось", "не получилось прочитать"]),
    ],
)
def test_each_error_has_a_page_in_the_readers_language(support, language, words):
    support.cookies["django_language"] = language
    pages = [
        (404, support.get("/no-such-page")),
        (403, support.get(reverse("admin:auth_user_changelist"))),
        (403, support.post(reverse("admin:set_language"), {"language": "en"})),
        (500, support.get("/spill/", headers={"X-Request-ID": "r1234"})),
        (400, support.get("/nonsense/")),
    ]
    for (status, page), expected in zip(pages, words, strict=True):
        assert page.status_code == status
        assert expected in page.text
        assert f'<html lang="{language}">' in page.text
        assert "admin.css" in page.text
        assert "secret" not in page.text
    assert "r1234" in pages[3][1].text
    assert "Spill" not in pages[3][1].text
