"""From a request to a finished run: prepare, train, save, score, record. What is trained is in `training`."""
