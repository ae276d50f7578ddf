"""The one error of the fake Telegram."""

from typing import Any


class ApiError(Exception):
    """A refusal: HTTP status, description and ResponseParameters, as the Bot API words them."""

    def __init__(self, code: int, description: str, parameters: dict[str, Any] | None = None) -> None:
        super().__init__(description)
        self.code, self.description, self.parameters = code, description, parameters


def bad(description: str) -> ApiError:
    return ApiError(400, f"Bad Request: {description}")


def forbidden(description: str) -> ApiError:
    return ApiError(403, f"Forbidden: {description}")
