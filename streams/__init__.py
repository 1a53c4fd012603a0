"""What runs without end: events in, minutes closed, facts out."""
