"""The command line: parses and shows; the work is done by `modernbert`."""
