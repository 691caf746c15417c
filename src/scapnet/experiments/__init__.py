"""The paper's tables and figures as lists of named configs, and the runner that does the missing runs."""
