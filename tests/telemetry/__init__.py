"""Tests of metrics, traces, health and the operator's pages."""
