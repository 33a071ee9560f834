"""Short real runs at a few learning rates -> the best rate of the full run."""
