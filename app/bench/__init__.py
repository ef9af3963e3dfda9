"""Measured figures: each module gives the numbers of one part."""
