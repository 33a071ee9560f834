"""What is to be trained: spec -> cells -> units, and the schema of the cube that they fill."""
