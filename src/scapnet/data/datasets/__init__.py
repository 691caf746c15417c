"""One file per data set, which reads the layout that its authors publish."""
