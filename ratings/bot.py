"""The handlers of this app, in the order in which they are asked; Kinoteka's autodiscovery imports this module."""

from ratings.chat import recommendations, taste_match, together, rating, lists  # noqa: F401, I001  in this order
from ratings.chat import watchlist, watchlist_list, stats, evening, files, removed  # noqa: F401
