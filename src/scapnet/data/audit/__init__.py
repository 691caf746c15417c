"""What a data set is and what is wrong with it: `scapnet data check` and `data show`."""
