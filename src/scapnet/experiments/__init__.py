"""The paper's tables and figures as lists of named configs, and the lab that runs what is missing of them."""
