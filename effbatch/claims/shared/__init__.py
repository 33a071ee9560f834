"""What several claims have in common."""
