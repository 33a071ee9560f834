"""A unit of a plan -> its trained networks' accuracies and losses, as arrays."""
