"""Arguments of commands that make no sense are refused in one line."""

import math
from typing import NoReturn

from django.core.management.base import CommandError, CommandParser


def require_within(name: str, value: int | None, minimum: int = 1, maximum: float = math.inf) -> None:
    """Raise CommandError where the number given for this argument is out of range; None was not given."""
    if value is None or minimum <= value <= maximum:
        return
    wanted = f"of {minimum} or more" if maximum == math.inf else f"from {minimum} to {maximum}"
    raise CommandError(f"{name} must be a number {wanted}, not {value}.")


def refuse(parser: CommandParser, message: str) -> NoReturn:
    """In place of CommandParser.error on the command line, which prints five lines of usage before the reason."""
    parser.exit(2, f"{parser.prog}: {message}; --help shows what it takes.\n")
