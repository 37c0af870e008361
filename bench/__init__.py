"""Benchmarks: every problem with every implementation, side by side in one run."""
