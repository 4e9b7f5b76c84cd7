"""May one model replace another: where they disagree, what that costs, and what is known of it."""
