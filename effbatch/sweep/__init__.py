"""A plan being carried out: units -> workers -> engine -> one file each -> the cube."""
