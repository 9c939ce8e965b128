"""Two rows of a table, compared in every way that a report shows, and what may be claimed of them."""
