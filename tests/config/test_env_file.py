"""A `.env` is read as people mean it, or refused by the number of its line."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.env_file import read_env_file

TOKEN = "1234567:AAF-marked-token-of-no-bot--000000000"


@pytest.fixture
def read(tmp_path):
    """read(content): the variables of a file that holds it."""
    path = tmp_path / "settings"

    def read(content):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_env_file(path, missing_ok=False)

    return read


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("N=value", "value"),
        ("N = value", "value"),
        ("  N=value  ", "value"),
        ("\tN\t=\tvalue", "value"),
        ("export N=value", "value"),
        ("export   N = 'value'", "value"),
        ("N='a # b'  # comment", "a # b"),
        ('N="a # b" # comment', "a # b"),
        ('N = "value"', "value"),
        (r'N="a\"b\\c\$d\n"', r'a"b\c$d\n'),
        (r"N='a\'", "a\\"),
        (r"N=a\"b\\c$d`e", r"a\"b\\c$d`e"),
        ("N=value # comment", "value"),
        ("N=value\t# comment", "value"),
        ("N=va#lue", "va#lue"),
        ("N=#value", "#value"),
        ("N= # comment", ""),
        ("N=   # comment", ""),
        ("N=", ""),
        ("N = ", ""),
        ("N=''", ""),
        ('N="" # comment', ""),
        ("N=it's", "it's"),
        ("N=a=b==", "a=b=="),
        ("N=-100, -200", "-100, -200"),
        ("N=ключ", "ключ"),
        ("N={'a': 1}", "{'a': 1}"),
    ],
)
def test_a_line_is_read_as_people_mean_it(read, line, value):
    assert read(f"A=1\n{line}\nB=2") == {"A": "1", "N": value, "B": "2"}


LINES = "# Ключи\r\n\r\n   # more\r\nTOKEN=a b\r\nKEY='в'\r\n"


@pytest.mark.parametrize(
    "content",
    [
        LINES.encode(),
        LINES.encode("utf-8-sig"),
        LINES.encode("utf-16"),
        LINES.replace("\r\n", "\n").encode("utf-8-sig"),
        LINES.replace("\r\n", "\r").encode(),
        LINES.replace("# Ключи", "").encode() + "# комментарий".encode("cp1251"),
        LINES.encode() + b"\x0c\n\t\n",
        LINES.encode() + b"KEY=other\nKEY='\xd0\xb2'",
    ],
)
def test_a_file_may_come_from_any_system(read, content):
    assert read(content) == {"TOKEN": "a b", "KEY": "в"}


@pytest.mark.parametrize(
    "line",
    [
        TOKEN, "TELEGRAM_BOT_TOKEN", f"TELEGRAM_BOT_TOKEN {TOKEN}", f"TELEGRAM_BOT_TOKEN: {TOKEN}", f"={TOKEN}",
        f"set TELEGRAM_BOT_TOKEN={TOKEN}", f"$env:TELEGRAM_BOT_TOKEN='{TOKEN}'", f"- TELEGRAM_BOT_TOKEN={TOKEN}",
        f"export TELEGRAM_BOT_TOKEN {TOKEN}", f"TELEGRAM BOT TOKEN={TOKEN}", f"1TOKEN={TOKEN}", f"ТОКЕН={TOKEN}",
        f"TELEGRAM-BOT-TOKEN={TOKEN}", f"TELEGRAM_BOT_TOKEN='{TOKEN}", f'TELEGRAM_BOT_TOKEN="{TOKEN}',
        f"TELEGRAM_BOT_TOKEN='{TOKEN}'x", f'TELEGRAM_BOT_TOKEN="{TOKEN}"x', f'TELEGRAM_BOT_TOKEN="{TOKEN}\\"',
        f"TELEGRAM_BOT_TOKEN=“{TOKEN}”", f"TELEGRAM_BOT_TOKEN=«{TOKEN}»", f"TELEGRAM_BOT_TOKEN=\u200b{TOKEN}",
        f"TELEGRAM_BOT_TOKEN\u00a0={TOKEN}", f"TELEGRAM_BOT_TOKEN=\u00a0{TOKEN}", f"TELEGRAM_BOT_TOKEN={TOKEN}\0",
        f"\ufeffTELEGRAM_BOT_TOKEN={TOKEN}", f"TELEGRAM_BOT_TOKEN={TOKEN}ключ".encode("cp1251"), "<<<<<<< HEAD", "{",
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_read_is_named_by_its_number(read, tmp_path, line):
    line = line if isinstance(line, bytes) else line.encode()
    with pytest.raises(ImproperlyConfigured) as refused:
        read(b"# \xd0\xb0\n\nDEBUG=1\n" + line + b"\nSANDBOX=1\n")
    assert str(refused.value) == f"Line 4 of {tmp_path}/settings cannot be read: it must be NAME=value."
    assert refused.value.__cause__ is None


def test_the_start_is_refused_and_the_line_not_shown(start, tmp_path):
    (tmp_path / "settings").write_text(f"DEBUG=1\nTELEGRAM_BOT_TOKEN '{TOKEN}'\n")
    for command in (["check"], ["runall"]):
        process = start(*command, ENV_FILE=str(tmp_path / "settings"))
        assert process.wait() != 0
        assert process.lines == [
            f"A setting is wrong. Line 2 of {tmp_path}/settings cannot be read: it must be NAME=value."
        ]


@pytest.mark.parametrize(
    ("name", "words"), [("nowhere", "ENV_FILE must be a file, and {} is not there."), ("", "{} cannot be read: Is a")]
)
def test_a_file_that_was_named_and_cannot_be_read_is_missed(tmp_path, name, words):
    with pytest.raises(ImproperlyConfigured) as refused:
        read_env_file(tmp_path / name, missing_ok=False)
    assert str(refused.value).startswith(words.format(tmp_path / name))


def test_without_a_file_there_is_nothing_to_read(tmp_path):
    assert read_env_file(tmp_path / ".env", missing_ok=True) == {}


def test_the_environment_takes_precedence_over_the_file(start, tmp_path):
    (tmp_path / "settings").write_bytes("LOG_FORMAT = json # of a file\r\nTIME_ZONE=nowhere\r\n".encode("utf-8-sig"))
    words = "from django.conf import settings; print(settings.TIME_ZONE, settings.LOG_FORMAT)"
    shell = start("shell", "--verbosity", "0", "-c", words, ENV_FILE=str(tmp_path / "settings"), TIME_ZONE="Asia/Tokyo")
    assert shell.wait() == 0, shell.output
    assert shell.lines == ["Asia/Tokyo json"]
