"""Tests of authz.conditions."""
