"""The one error of the Telegram stand-in."""


class ApiError(Exception):
    """A refusal: HTTP status, description and ResponseParameters, as the Bot API words them."""

    def __init__(self, code, description, parameters=None):
        super().__init__(description)
        self.code, self.description, self.parameters = code, description, parameters


def bad(description):
    return ApiError(400, f"Bad Request: {description}")


def forbidden(description):
    return ApiError(403, f"Forbidden: {description}")
