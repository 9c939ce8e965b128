"""A report as one self-contained HTML file: nothing is requested, nothing but its own small script runs."""
