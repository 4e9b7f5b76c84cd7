"""The settings of a training: each is written once, as a field of a section."""
