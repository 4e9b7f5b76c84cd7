"""Reports: one HTML file for a run or a comparison, and the card beside a saved model."""
