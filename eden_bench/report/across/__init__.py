"""Methods over several tables: aggregates, ranks, and which cannot be told apart."""
