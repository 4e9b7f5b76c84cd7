"""Reports: one HTML file for a run or a comparison."""
