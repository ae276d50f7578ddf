"""Django checks: whether stored TMDb sessions are safe, and can be decrypted."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning, register

from config.checks import NOT_CHECKED
from users.key_rotation import check_readability

MIN_KEY_LENGTH = 32  # characters; a Fernet key has 44
MAX_CHECKED = 1000  # of the newest sessions of each table: a key that is missing is missing for many


@register()
def check_session_keys(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """SESSION_ENCRYPTION_KEYS cannot be guessed."""
    if all(len(key) >= MIN_KEY_LENGTH for key in settings.SESSION_ENCRYPTION_KEYS):
        return []
    what = f"A key of SESSION_ENCRYPTION_KEYS has less than {MIN_KEY_LENGTH} characters."
    hint = "Put a new one first, made by `openssl rand -base64 32`, then run `manage.py rotate_session_key`."
    return [Warning(what, hint=hint, id="users.W001")]


@register("services", deploy=True)
def check_sessions(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Stored TMDb sessions can be decrypted."""
    unreadable, checked = check_readability(MAX_CHECKED)
    if not checked:
        return [Info("Nobody has linked a TMDb account yet.", id=NOT_CHECKED)]
    if not unreadable:
        return []
    return [
        Error(
            f"{unreadable} of {checked} stored TMDb sessions cannot be decrypted: nothing is lost, but nothing is read "
            "or written for these people.",
            hint="Put the key they were encrypted with (or the SECRET_KEY of then) back into SESSION_ENCRYPTION_KEYS, "
            "after the first, then run `manage.py rotate_session_key`.",
            id="users.E001",
        )
    ]
