"""The demo: a seeded fleet, and stand-ins for Slack and the scale-down receiver."""
