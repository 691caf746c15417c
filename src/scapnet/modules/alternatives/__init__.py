"""The alternatives to PRM in Table X: graph convolution, one classifier per part, and concatenation."""
