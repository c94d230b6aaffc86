"""The command line: thin shells around the functions of the package."""
