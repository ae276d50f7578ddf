"""Django's reports of errors, on pages with DEBUG and in mails: without secrets, whatever the variables hold."""

from __future__ import annotations

from pprint import pformat
from typing import TYPE_CHECKING

from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from config.monitoring.logs import redact

if TYPE_CHECKING:
    from django.http import HttpRequest


class Shown:
    """A text that stands for the value it describes."""

    def __init__(self, words: str) -> None:
        self.words = words

    def __repr__(self):
        return self.words


class Filter(SafeExceptionReporterFilter):
    """Masks what is known or looks like a secret in settings, request and variables; Django goes by names alone."""

    def is_active(self, request: HttpRequest) -> bool:
        return True  # with DEBUG, too

    def cleanse_setting(self, key, value):
        value = super().cleanse_setting(key, value)
        return redact(value) if type(value) is str else value

    def get_traceback_frame_variables(self, request: HttpRequest, tb_frame):
        found = super().get_traceback_frame_variables(request, tb_frame)
        return [(name, Shown(redact(described(value)))) for name, value in found]


class Reporter(ExceptionReporter):
    """The same for all else that is in a report: the error's own words, addresses, what a form held."""

    def get_traceback_html(self):
        return redact(super().get_traceback_html())

    def get_traceback_text(self):
        return redact(super().get_traceback_text())


def described(value):
    try:
        return pformat(value)
    except Exception as error:  # a value may be too broken to describe itself
        return f"({type(error).__name__} while describing it)"
