"""What is wrong with a data set, file by file and as a whole, before anything is trained on it."""
