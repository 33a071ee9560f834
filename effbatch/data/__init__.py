"""Any data set, by name or path, as images with labels."""
