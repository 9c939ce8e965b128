"""Reports: tables, statistics and text from records."""
