"""Training real networks: spec -> cells -> units -> engine -> store. The only package that imports torch."""
