"""What containers and units are made of."""

import os
import re
import shutil
import socket
import subprocess

import pytest

from config.monitoring.prometheus import Collector
from tests.conftest import ROOT
from users.admin.broadcasts import MAX_PICTURE_BYTES

UNITS = sorted((ROOT / "deploy" / "systemd").iterdir())


def pinned(name):
    return set(re.findall(r"^([a-z0-9-]+==[^ ;\\]+)", (ROOT / name).read_text(), re.MULTILINE))


def test_the_servers_packages_are_those_that_are_tested_and_no_tools():
    server = pinned("requirements-server.lock")
    assert server <= pinned("requirements.lock")
    names = {package.split("==")[0] for package in server}
    assert {"django", "gunicorn", "psycopg", "redis", "prometheus-client"} <= names
    assert not names & {"pytest", "ruff", "mypy", "playwright", "hypothesis"}


def test_make_run_installs_what_running_needs_and_make_test_adds_the_rest(tmp_path):
    for name in ("Makefile", "requirements.lock", "requirements-server.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()

    def installs(target):
        done = subprocess.run(["make", "-n", target], cwd=tmp_path, capture_output=True, text=True, check=True)
        return [words[-1] for line in done.stdout.splitlines() if "pip install" in line and (words := line.split())]

    assert installs("run") == ["requirements-server.lock"]
    assert installs("test") == ["requirements.lock"]
    (tmp_path / ".venv" / ".server").touch()
    assert installs("run") == []
    assert installs("test") == ["requirements.lock"]
    (tmp_path / ".venv" / ".installed").touch()
    assert installs("run") == installs("test") == []
    os.utime(tmp_path / ".venv" / ".installed", (1, 1))
    assert installs("run") == ["requirements.lock"], "the tests' packages are not lost"


def test_a_clusters_group_is_never_told_to_stop():
    for unit in UNITS:
        if "worker" in unit.name or "web" in unit.name or "bot" in unit.name:
            assert "KillMode=mixed" in unit.read_text(), unit.name


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_understands_the_units(tmp_path):
    for unit in UNITS:
        text = re.sub(r"(?m)^User=.*$", "", unit.read_text())
        (tmp_path / unit.name).write_text(re.sub(r"(?m)^(ExecStart(?:Pre)?)=\S+", r"\1=/bin/true", text))
    units = [str(tmp_path / unit.name) for unit in UNITS]
    verdict = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=60)
    assert (verdict.returncode, verdict.stderr) == (0, "")


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile"])
def test_a_picture_of_a_broadcast_passes_the_proxy(name):
    text = (ROOT / "deploy" / "proxy" / name).read_text()
    megabytes = re.search(r"(?:client_max_body_size|max_size) (\d+)MB?\b", text, re.IGNORECASE)
    assert megabytes
    assert int(megabytes[1]) * 1_000_000 > MAX_PICTURE_BYTES * 1.1


@pytest.mark.skipif(not shutil.which("nginx") or os.geteuid() != 0, reason="nginx tries the ports 80 and 443")
def test_nginx_understands_its_file(tmp_path):
    text = (ROOT / "deploy" / "proxy" / "nginx.conf").read_text()
    key, certificate = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=kinoteka.example"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    text = text.replace("/etc/letsencrypt/live/kinoteka.example", str(tmp_path))
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid; events {{}} http {{ {text} }}")
    command = ["nginx", "-t", "-p", tmp_path, "-c", tmp_path / "nginx.conf", "-e", "stderr"]
    verdict = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert verdict.returncode == 0, verdict.stderr


def test_migrations_wait_for_a_database_that_starts_later(start):
    """All that needs the tables would stay down for good otherwise: nothing tries a failed requirement again."""
    with socket.create_server(("127.0.0.1", 0)) as door:  # takes the port, and does not answer
        port = door.getsockname()[1]
    waiting = start("wait_for_db", DATABASE_URL=f"postgres://kinoteka@127.0.0.1:{port}/kinoteka")
    waiting.wait_for_line("The database at DATABASE_URL is waited for")
    assert waiting.process.poll() is None
    assert waiting.terminate() != 0
    ready = start("wait_for_db")
    assert ready.process.wait(60) == 0
    unit = (ROOT / "deploy" / "systemd" / "kinoteka-migrate.service").read_text()
    assert unit.index("manage.py wait_for_db") < unit.index("manage.py migrate")


def test_the_operators_command_has_what_the_units_have():
    """`kinoteka` is manage.py with the settings, the user and the places of the units, not a newcomer's defaults."""
    command = (ROOT / "deploy" / "kinoteka").read_text()
    for unit in UNITS:
        text = unit.read_text()
        for name in ("User", "WorkingDirectory", "EnvironmentFile", "StateDirectory", "UMask"):
            for value in re.findall(rf"(?m)^{name}=(.+)$", text):
                option = {"User": "uid", "WorkingDirectory": "working-directory"}.get(name, f"property={name}")
                assert f"--{option}={value}" in command, (unit.name, name)
        for value in re.findall(r"(?:ENV_FILE|POSTER_DIR|THUMBNAIL_DIR)=\S+", text):
            assert f"--setenv={value}" in command, (unit.name, value)


def test_a_database_password_may_hold_anything():
    """As PGPASSWORD, not within an address, where a / or an @ of it would end it."""
    compose = (ROOT / "compose.yaml").read_text()
    assert "PGPASSWORD: ${POSTGRES_PASSWORD" in compose
    assert not re.search(r"://[^\s]*\$\{", compose)


def test_the_first_start_of_the_database_is_not_taken_for_its_readiness():
    """PostgreSQL's image makes the database with a server of its own on the socket alone, which then goes away."""
    assert re.search(r"pg_isready, --host=", (ROOT / "compose.yaml").read_text())


@pytest.mark.django_db
def test_alert_rules_and_the_dashboard_ask_for_metrics_that_there_are():
    known = {sample.name for family in Collector().collect() for sample in family.samples}
    known.add("kinoteka_webhook_ok")  # where Telegram has said so within ten minutes
    for path in (ROOT / "deploy" / "monitoring").iterdir():
        named = set(re.findall(r"\bkinoteka_(?!token\b)[a-z_]+", path.read_text()))
        assert named, path
        assert named <= known, (path.name, named - known)
