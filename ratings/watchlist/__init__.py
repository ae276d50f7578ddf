"""The films a user wants to see: the list, in step with TMDb's watchlist."""
