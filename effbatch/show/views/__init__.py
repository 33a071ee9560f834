"""What is shown of each answer: a module per folder with answers, which registers their pages and figures."""
