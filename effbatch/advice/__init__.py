"""The two questions: `predict`, from laws alone, and `advise`, for a network and data."""
