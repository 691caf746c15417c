"""What Table X compares PRM with: graph convolution, one classifier for each part, concatenation."""
