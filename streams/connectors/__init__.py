"""Doors to the platforms."""
