"""Measurements of speed and memory: `make bench`. Each figure is a ratio within one run on one machine."""
