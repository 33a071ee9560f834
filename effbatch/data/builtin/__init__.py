"""Built-in data sets: one file each with `SIZE`, `where() -> str` and `load() -> DataSet`."""
