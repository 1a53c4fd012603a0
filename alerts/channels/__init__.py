"""Talking to people: one module for each channel."""
