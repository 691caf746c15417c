"""Drawn birds: fine-grained pictures that need no download."""
