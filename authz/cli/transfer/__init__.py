"""Tuples from files into a store and back: forms, streaming, resumable import."""
