"""What comes from outside is text in the chat and on the pages; browsers are told to insist on TLS."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
import requests
from django.template.loader import render_to_string
from hypothesis import HealthCheck, given, settings

from movies.cards import caption
from movies.models import Movie
from tests.config.admin.test_admin_roles import HOSTILE
from tests.config.test_start import free_port
from tests.conftest import ROOT, Process
from users.models import SyncStatus, User

pytestmark = pytest.mark.django_db

OURS = {"b", "i", "a", "blockquote", "code", "u", "s"}  # what our templates write for Telegram


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.addresses = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append(tag)
        self.addresses += [value for name, value in attributes if name == "href"]
        assert {name for name, _value in attributes} <= {"href", "expandable"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=HOSTILE, original=HOSTILE, overview=HOSTILE)
def test_what_comes_from_tmdb_is_text_in_the_chat(title, original, overview):
    marks = {"title": f"<x-{title}>", "original_title": f"<x-{original}>", "overview": f"<x-{overview}>"}
    hostile = Movie(id=603, year=1999, **marks)
    hostile.user_rating = None
    assert "<x-" not in caption(hostile)
    assert set(Tags(caption(hostile)).found) <= OURS
    person = User(pk=1, sync_status=SyncStatus.FAILED)
    for template in ("ratings/failed.html", "ratings/running.html", "ratings/finished.html"):
        film = {"id": "603", "title": f"<x-{title}>"}
        kinds = {kind: {"films": [film], "more": 0} for kind in ("overridden", "removed", "failed", "left_out")}
        run = {"overridden": 1, "removed": 1, "failed": 1, "left_out": 1, "error": f"<x-{overview}>"}
        assert "<x-" not in render_to_string(template, {"run": run, "user": person, **kinds})


def test_the_chat_page_makes_no_markup_of_text():
    source = Path(ROOT, "sandbox/chat_page/chat.js").read_text()
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert way not in source


def test_the_chat_page_runs_nothing_but_its_own_script(sandbox):
    for path in ("/", "/chat/api/state?wait=0", "/nowhere"):
        answer = requests.get(sandbox.url + path, timeout=10)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("whole_domain", ["0", "1"])
def test_behind_a_proxy_browsers_are_told_to_insist_on_tls_for_this_host_and_by_choice_for_the_domain(
    environment, whole_domain
):
    port = free_port()
    variables = {**environment, "DEBUG": "0", "ALLOWED_HOSTS": "kinoteka.example", "TRUST_PROXY": "1"}
    variables |= {"SECURE_HSTS_INCLUDE_SUBDOMAINS": whole_domain, "SECURE_HSTS_PRELOAD": whole_domain}
    web = Process(["-m", "gunicorn", "--bind", f"127.0.0.1:{port}"], variables)
    try:
        web.wait_for_line("Booting worker")
        ask = {"timeout": 30, "allow_redirects": False}
        url, host = f"http://127.0.0.1:{port}/admin/login/", {"Host": "kinoteka.example"}
        plain = requests.get(url, headers=host, **ask)
        assert plain.headers["Location"] == "https://kinoteka.example/admin/login/"
        safe = requests.get(url, headers={**host, "X-Forwarded-Proto": "https"}, **ask)
        assert safe.status_code == 200
        wider = "; includeSubDomains; preload" if whole_domain == "1" else ""
        assert safe.headers["Strict-Transport-Security"] == f"max-age=31536000{wider}"
        cookie = safe.headers["Set-Cookie"]
        assert "Secure" in cookie
        assert "SameSite=Strict" in cookie
    finally:
        web.kill()
