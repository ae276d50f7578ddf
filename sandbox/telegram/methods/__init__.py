"""The methods of the Bot API that the fake carries out: one function for each, under its own name."""

from sandbox.telegram.methods import about, messages, polls, queries, updates
from sandbox.telegram.methods.registry import METHODS

__all__ = ["METHODS", "about", "messages", "polls", "queries", "updates"]
