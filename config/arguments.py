"""Arguments of commands that are numbers and make no sense are refused in one line."""

import math

from django.core.management.base import CommandError


def require_within(name: str, value: int | None, minimum: int = 1, maximum: float = math.inf) -> None:
    """Raise CommandError where the number given for this argument is out of range; None was not given."""
    if value is None or minimum <= value <= maximum:
        return
    wanted = f"of {minimum} or more" if maximum == math.inf else f"from {minimum} to {maximum}"
    raise CommandError(f"{name} must be a number {wanted}, not {value}.")
