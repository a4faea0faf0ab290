"""Relationship-based authorization service in the Zanzibar line, wire compatible with OpenFGA v1."""

__version__ = "0.1.0"
