"""Fine-tune on your own file and predict: python examples/finetune_file.py reviews.csv [MODEL]."""

import sys

import modernbert

file, model = [*sys.argv[1:], "minilm"][:2]
run = modernbert.finetune(file, model, epochs=2)
score = run.headline.main
print(f"{run.name}: {score.metric} {score.value:.4f} ({score.low:.4f} to {score.high:.4f}, n = {score.n})")
print(modernbert.load(run.name).predict(["What a lovely film"]))
