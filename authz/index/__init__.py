"""Tuples in memory, exact at a revision: views, the live index, and the registry that keeps it fresh."""
