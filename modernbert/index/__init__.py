"""Search one's own files: cut into chunks, kept with their vectors in a folder, found by meaning or words."""
