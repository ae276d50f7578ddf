"""The web server under a path of its own, as a proxy that serves several programs has it."""

import re

import pytest
import requests
from django.contrib.auth import get_user_model
from django.test.utils import override_script_prefix

from tests.conftest import Process
from tests.helpers.waiting import free_port

pytestmark = pytest.mark.django_db(transaction=True)


def test_links_redirects_and_static_files_have_the_prefix_of_the_request(client):
    client.force_login(get_user_model().objects.create_superuser("olga"))
    with override_script_prefix("/kino/"):  # as a web server's own handler does
        assert client.get("/admin", SCRIPT_NAME="/kino").headers["Location"] == "/kino/admin/"
        page = client.get("/admin/", SCRIPT_NAME="/kino").text
    links = re.findall(r'(?:href|src|action)="(/[^"]*)"', page)
    assert len(links) > 10
    assert [link for link in links if not link.startswith("/kino/")] == []
    assert 'value="/kino/admin/"' in page  # where the choice of a language leads back to
    plain = client.get("/admin/").text
    assert "/kino/" not in plain
    assert re.findall(r'href="(/static/[^"]*)"', plain)


@pytest.mark.parametrize("by", ["SCRIPT_NAME of its environment", "a header"])
def test_gunicorn_serves_all_of_it_under_a_prefix(environment, by):
    get_user_model().objects.create_superuser("olga", password="right")
    port, in_environment = free_port(), by != "a header"
    variables = {"SCRIPT_NAME": "/kino"} if in_environment else {}
    web = Process(["-m", "gunicorn", "--bind", f"127.0.0.1:{port}"], {**environment, **variables})
    try:
        web.wait_for_line("Booting worker")
        with requests.Session() as browser:
            browser.trust_env = False
            browser.headers = {} if in_environment else {"SCRIPT_NAME": "/kino"}
            page = browser.get(f"http://127.0.0.1:{port}/kino/admin/", timeout=30)
            assert page.url.endswith("/kino/admin/login/?next=/kino/admin/")
            styles = re.findall(r'href="(/[^"]*css)"', page.text)
            assert styles
            for style in styles:
                assert browser.get(f"http://127.0.0.1:{port}{style}", timeout=30).status_code == 200, style
            assert browser.get(f"http://127.0.0.1:{port}/kino/healthz", timeout=30).status_code == 200
    finally:
        web.kill()
