"""Real servers for the tests, and what to say where one cannot be had."""
