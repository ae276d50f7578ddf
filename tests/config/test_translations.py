"""The Russian texts: every one is there, says all that the English one does, and is set as Russian is."""

import ast
import gettext
import re
from pathlib import Path
from typing import Any

import polib
import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import label_for_field
from django.utils import translation
from django.utils.translation.template import templatize

from config.bot.router import LANGUAGES, commands, listed_commands
from config.jobs.schedules import SCHEDULES

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "config/locale/ru/LC_MESSAGES/django.po"
COMPILED = CATALOGUE.with_suffix(".mo")
OURS = sorted({Path(app.path) for app in apps.get_app_configs() if Path(app.path).parent == ROOT})
TRANSLATE = re.compile(r"_|n?p?gettext(_lazy|_noop)?")
LITERAL = re.compile(r"""u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")

PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[sd]|%%")
TAG = re.compile(r"</?\w[^>]*>")
COMMAND = re.compile(r"(?<![\w/<])/[a-z]+")

russian = polib.pofile(str(CATALOGUE))


def pairs():
    """(English, Russian) of every text, in each form that a number can ask for."""
    for entry in russian:
        if not entry.msgid_plural:
            yield entry.msgid, entry.msgstr
        for text in entry.msgstr_plural.values():
            # the first form too: it serves 21 and 101 as well as 1, so it owes the reader the number
            yield entry.msgid_plural, text


def unlike(pattern):
    """The texts in which the pattern finds other things than in the English ones."""
    return [text for english, text in pairs() if sorted(pattern.findall(text)) != sorted(pattern.findall(english))]


# --- Complete


def test_every_text_is_translated():
    assert not [entry.msgid for entry in russian if entry.fuzzy]
    assert not [english for english, text in pairs() if not text.strip()]
    assert not [entry.msgid for entry in russian if entry.msgid_plural and sorted(entry.msgstr_plural) != [0, 1, 2, 3]]
    assert not russian.obsolete_entries()


def texts_of_code():
    """(file, text) of all that the code has translated: what gettext's own extraction would find."""
    for path in (path for folder in OURS for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            function = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if TRANSLATE.fullmatch(function):
                assert not isinstance(node.args[0], ast.JoinedStr), f"{path}:{node.lineno}: gettext reads no f-strings"
                constants = (part.value for part in node.args if isinstance(part, ast.Constant))
                yield from ((path, text) for text in constants if isinstance(text, str))
    for path in (path for folder in OURS for path in folder.glob("templates/**/*.*")):
        yield from ((path, ast.literal_eval(found[0])) for found in LITERAL.finditer(templatize(path.read_text())))


def test_every_text_of_the_code_is_in_the_catalogue():
    known = {text for entry in russian for text in (entry.msgid, entry.msgid_plural, entry.msgctxt)}
    found = list(texts_of_code())
    assert len(found) > 100
    missing = sorted({f"{path.relative_to(ROOT)}: {text}" for path, text in found if text not in known})
    assert not missing, "`make messages` brings them into the catalogue, where they wait for their Russian"


def test_the_compiled_catalogue_says_exactly_what_the_catalogue_says():
    with COMPILED.open("rb") as file, translation.override("ru"):
        readers: list[Any] = [gettext.GNUTranslations(file), translation]
        for reader in readers:  # as gettext reads it, and as Django does, beside its own texts
            for entry in russian:
                context = (entry.msgctxt,) if entry.msgctxt else ()
                if entry.msgid_plural:
                    ask = reader.npgettext if context else reader.ngettext
                    said = [ask(*context, entry.msgid, entry.msgid_plural, number) for number in (1, 2, 5)]
                    assert said == [entry.msgstr_plural[form] for form in range(3)]
                else:
                    ask = reader.pgettext if context else reader.gettext
                    assert ask(*context, entry.msgid) == entry.msgstr
    binary = polib.mofile(str(COMPILED))
    assert binary.metadata == russian.metadata
    assert {(entry.msgctxt, entry.msgid) for entry in binary} == {(entry.msgctxt, entry.msgid) for entry in russian}


def test_the_catalogue_changes_only_with_its_texts():
    about_the_format = {"Language", "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Plural-Forms"}
    assert set(russian.metadata) == {"Project-Id-Version", *about_the_format}


# --- Faithful


def test_what_is_filled_in_is_the_same():
    assert not unlike(PLACEHOLDER)


def test_tags_are_the_same():
    assert not unlike(TAG)


def test_commands_are_the_same():
    assert not unlike(COMMAND)


def test_buttons_are_called_what_the_texts_call_them():
    naming = [text for english, text in pairs() if "“Done”" in english]
    assert naming
    assert all("«Готово»" in text for text in naming)
    with translation.override("ru"):
        assert translation.gettext("Done") == "Готово"


# --- As Russian is set


def test_signs_are_those_of_russian_print():
    plain = [TAG.sub("", PLACEHOLDER.sub("1", text)) for _english, text in pairs()]
    assert not [text for text in plain if re.search(r"[\"“”‘’]|\.\.\.|\s-\s|  ", text)]
    assert not [text for text in plain if text.count("«") != text.count("»")]
    assert not [text for text in plain if re.search(r"\b(?!TMDb)(?i:tmdb)\b", text)]


def test_edges_are_the_same():
    """A text that is put beside others, or goes on, does so in both languages."""
    assert not unlike(re.compile(r"\A\s+|\s+\Z|…\Z"))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "Вы оценили 1 фильм"),
        (2, "Вы оценили 2 фильма"),
        (5, "Вы оценили 5 фильмов"),
        (11, "Вы оценили 11 фильмов"),
        (21, "Вы оценили 21 фильм"),
        (112, "Вы оценили 112 фильмов"),
    ],
)
def test_numbers_have_their_case(number, words):
    with translation.override("ru"):
        text = translation.ngettext("You have rated %(count)d film", "You have rated %(count)d films", number)
    assert text % {"count": number} == words


# --- Within Telegram's limits


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_menu_fits(language):
    """Bot API: setMyCommands, BotCommand."""
    assert 1 <= len(commands) <= 100
    with translation.override(language):
        titles = {name: str(commands[name]) for name in listed_commands()}
    assert not [name for name in titles if not re.fullmatch(r"[a-z0-9_]{1,32}", name)]
    assert not [title for title in titles.values() if not 1 <= len(title) <= 256]


def test_everything_in_the_admin_has_a_russian_name():
    with translation.override("ru"):
        for model, model_admin in admin.site._registry.items():
            if model._meta.app_label not in ("movies", "users", "ratings"):
                continue
            detailed = [name for _title, part in model_admin.fieldsets for name in part["fields"]]
            shown = [*model_admin.list_display, *detailed]
            filtered = [name[0] for name in model_admin.list_filter if isinstance(name, tuple)]
            for name in [*shown, *filtered]:
                label = str(label_for_field(name, model, model_admin))
                assert label == "ID" or re.search("[а-яё]", label), f"{model.__name__}.{name}: {label}"
        for job in SCHEDULES:
            assert re.search("[а-яё]", translation.gettext(job)), job
