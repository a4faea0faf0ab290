"""Reports of runs: Markdown with tables and plots."""
