"""Deciding what to say and what to stop, and the channels and targets that say and do it."""
