"""Tests of what a caller may do."""
