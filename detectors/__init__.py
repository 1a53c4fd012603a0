"""What the service means: pure detectors over panels; values in, values out."""
