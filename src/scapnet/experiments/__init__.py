"""The paper's tables and figures as lists of named configs, and the runner that runs what is missing of them."""
