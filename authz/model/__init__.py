"""Compiled authorization models: rewrites, rules, plans, and what tuples they allow."""
