"""The paper's figures and tables, each made by one function."""
