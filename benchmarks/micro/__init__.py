"""What single parts cost: `pytest benchmarks/micro --benchmark-only`, or `python -m benchmarks micro` for a table."""
