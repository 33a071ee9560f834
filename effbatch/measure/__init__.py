"""A network and images -> its gradient moments, its kernel, its noise scale along training."""
