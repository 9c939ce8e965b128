"""A report as text for a terminal, Markdown, LaTeX, CSV and JSON; equal reports give equal bytes."""
