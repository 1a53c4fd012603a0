"""Bytes to events: one module for each wire format."""
