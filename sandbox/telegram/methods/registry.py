"""The methods that the fake carries out, by their names in the Bot API."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.http_server import Upload
from sandbox.telegram.account import Account

if TYPE_CHECKING:
    from sandbox.telegram.server import Telegram


class Params(dict[str, Any]):
    """A call's parameters, parsed; `files` are the uploads by name."""

    files: dict[str, Upload]


Function = Callable[["Telegram", Account, Params], object]


class Method(NamedTuple):
    """A method's function, and whether it runs under the lock of the fake: slow and waiting ones take it themselves."""

    function: Function
    locked: bool


METHODS: dict[str, Method] = {}


def method(function: Function) -> Function:
    """Register a function under its own name. It returns what goes into "result", or raises ApiError."""
    METHODS[function.__name__] = Method(function, locked=True)
    return function


def slow_method(function: Function) -> Function:
    """Register a function that takes the lock by itself, where it needs it."""
    METHODS[function.__name__] = Method(function, locked=False)
    return function
