"""Talking to machines: one module for each target."""
