"""One file for each data set, in the layout that its authors publish."""
