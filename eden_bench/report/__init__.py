"""From records to tables and text."""
