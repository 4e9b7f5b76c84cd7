"""`RunRecord`: what a run keeps in its `run.json`, and the parts that it is made of."""
