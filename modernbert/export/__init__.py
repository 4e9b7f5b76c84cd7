"""Models for other runtimes: the graph, the folder around it, and the proof of its answers."""
