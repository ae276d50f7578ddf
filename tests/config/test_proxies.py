"""HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY: on the way to TMDb, its images and Telegram, and nowhere else."""

from urllib.parse import urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured
from telebot.apihelper import ApiException

from config.bot import client
from config.bot.router import bot
from config.http_client import proxy_for
from config.settings import proxies
from movies import tmdb
from movies.tmdb import TMDb
from tests.helpers.proxies import ADDRESS, NAME, Proxy

pytestmark = pytest.mark.django_db(transaction=True)

LOGIN, QUOTED_LOGIN = "anna:p@ss/w:rd", "anna:p%40ss%2Fw%3Ard"
SCHEMES = ["http", "socks5", "socks5h"]


def forget_connections():
    for module in (client, tmdb):
        for cached in vars(module).values():
            if hasattr(cached, "cache_clear"):
                cached.cache_clear()


@pytest.fixture
def far_away(sandbox, settings):
    """far_away(scheme, login): the services have names that only a proxy knows; the proxy."""
    proxies = []

    def go(scheme, login=""):
        host = NAME if scheme != "socks5" else ADDRESS  # which has names looked up here
        sandbox.server.http.names.add(host)
        proxy = Proxy(sandbox.port, LOGIN).__enter__()
        proxies.append(proxy)
        settings.PROXIES = {"all": f"{scheme}://{login or QUOTED_LOGIN}@{proxy.place}"}
        settings.TELEGRAM_API_URL = f"http://{host}"
        settings.TMDB_API_URL, settings.TMDB_IMAGE_URL = f"http://{host}/3", f"http://{host}/t/p"
        client.patch_telebot()
        forget_connections()
        return proxy

    yield go
    for proxy in proxies:
        proxy.__exit__()
    forget_connections()


def image():
    return TMDb().image(TMDb().movie(603)["poster_path"])


def upload_and_download():
    posted = bot.send_document("-1001000000001", ("ratings.csv", b"title\n"))
    assert client.download(posted.document.file_id, 100) == b"title\n"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_service_is_reached_through_a_proxy_with_a_password(far_away, scheme):
    proxy = far_away(scheme)
    TMDb().check_key()
    assert image().startswith(b"\xff\xd8")
    assert bot.get_me().is_bot
    upload_and_download()
    host = ADDRESS if scheme == "socks5" else NAME
    assert {asked.removesuffix(":80") for asked in proxy.asked} == {host}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_https_goes_through_a_tunnel(far_away, settings, scheme):
    proxy = far_away(scheme)
    host = urlsplit(settings.TMDB_API_URL).hostname
    settings.TMDB_API_URL, settings.TELEGRAM_API_URL = f"https://{host}/3", f"https://{host}"
    client.patch_telebot()
    with pytest.raises(tmdb.Unavailable):  # the sandbox knows nothing of TLS
        TMDb(background=False).check_key()
    with pytest.raises(client.TelegramUnavailable):
        bot.get_me()
    assert set(proxy.asked) == {f"{host}:443"}
    assert len(proxy.asked) > 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_proxy_that_refuses_us_makes_a_service_unavailable(far_away, scheme):
    proxy = far_away(scheme, login="anna:wrong")
    with pytest.raises(tmdb.Unavailable) as refused:
        TMDb(background=False).check_key()
    with pytest.raises((client.TelegramUnavailable, ApiException)) as unreachable:
        bot.get_me()
    assert proxy.asked == []
    assert "wrong" not in f"{refused.value} {unreachable.value}"


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://api.themoviedb.org/3", "http://secure:1"),
        ("http://api.internal", "socks5h://all:1"),
        ("https://kinoteka.example/3", ""),
        ("https://sub.kinoteka.example/3", ""),
        ("http://10.1.2.3/3", ""),
        *((f"http://{host}:8081", "") for host in ("localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "0.0.0.0")),
        *((f"http://{host}:8081", "") for host in ("[::1]", "[::ffff:127.0.0.1]", "LOCALHOST")),
    ],
)
def test_a_proxy_is_chosen_by_the_address_it_leads_to(settings, url, proxy):
    settings.PROXIES = {"https": "http://secure:1", "all": "socks5h://all:1", "no": "kinoteka.example, 10.0.0.0/8"}
    assert proxy_for(url) == proxy


def test_a_socks_proxy_in_the_environment_is_the_way_to_every_service(start, sandbox):
    sandbox.server.http.names.add(NAME)
    services = {"TELEGRAM_API_URL": "", "TMDB_API_URL": "/3", "TMDB_IMAGE_URL": "/t/p"}
    with Proxy(sandbox.port, LOGIN) as proxy:
        variables = {name: f"http://{NAME}{path}" for name, path in services.items()}
        check = start("check_services", ALL_PROXY=f"socks5h://{QUOTED_LOGIN}@{proxy.place}", **variables)
        assert check.wait() == 0, check.output
        assert len(proxy.asked) >= 2


NOWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY", "all_proxy", "http_proxy"])
def test_loopback_is_never_asked_for_through_a_proxy(start, name):
    check = start("check_services", **{name: NOWHERE})
    assert check.wait() == 0, check.output


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "value",
    [
        "ftp://anna:MARKED@proxy:3128", "socks9://anna:MARKED@proxy:3128", "http://", "http://anna:MARKED@:3128",
        "http://anna:MARKED@proxy:port", "http://anna:MARKED@proxy:99999", "http://anna:MARKED@proxy:0",
        "http://anna:MA#RKED@proxy:3128", "http://anna:MA/RKED@proxy:3128", "http://anna:MARKED@proxy:3128/path",
        "'http://anna:MARKED@proxy:3128'", "http://anna:MARKED@pro xy:3128", "http://anna:MARKED@[::1:3128",
        "http://анна:MARKED@proxy:3128",
    ],
)  # fmt: skip
def test_a_proxy_that_cannot_work_is_named_without_its_password(monkeypatch, name, value):
    for other in ("http_proxy", "https_proxy", "all_proxy", name):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured) as refused:
        proxies()
    assert str(refused.value).startswith(f"{name} must be ")
    assert "MA" not in str(refused.value)


def test_the_start_is_refused_in_one_line(start):
    check = start("check", HTTPS_PROXY="socks9://anna:MARKED@proxy:1080")
    assert check.wait() != 0
    (line,) = check.lines
    assert line.startswith("A setting is wrong. HTTPS_PROXY must be ")
    assert "MARKED" not in line


@pytest.mark.parametrize(
    ("value", "means"),
    [
        ("proxy:3128", "http://proxy:3128"),
        ("http://proxy:3128/", "http://proxy:3128/"),
        (" HTTP://anna:p@ss@proxy ", "http://anna:p@ss@proxy"),
        ("socks://127.0.0.1:1080/", "socks5h://127.0.0.1:1080/"),
        ("socks5://анна:пароль@[fe80::1]:1080", "socks5://анна:пароль@[fe80::1]:1080"),
    ],
)
def test_a_proxy_is_written_in_many_ways(monkeypatch, value, means):
    monkeypatch.setenv("https_proxy", value)
    assert proxies()["https"] == means
    monkeypatch.setenv("FTP_PROXY", "nothing of ours")
    assert "ftp" not in proxies()
