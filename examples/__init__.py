"""Samples that are tested."""
