"""Tests of the modelling language library; each file mirrors a module or a promise of `schema_dsl`."""
