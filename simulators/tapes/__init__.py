"""Recorded data that nobody here wrote, cut to whole weeks; README.md beside this file says whose it is."""
