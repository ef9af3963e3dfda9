"""Scored runs: what the product said against what the simulators know, and public baselines beside it."""
