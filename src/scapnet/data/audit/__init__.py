"""What a data set contains and what is wrong with it: `scapnet data check` and `data show`."""
