"""The people's door: settings, assembly, command line, web pages."""
