"""Built-in networks, a user's own, and what one network gives for each image."""
