"""Scores beside accuracy, one file each."""
