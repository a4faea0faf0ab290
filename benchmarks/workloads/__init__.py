"""Worlds with known truth. Used by the driver, the peers and the micro-benchmarks."""
