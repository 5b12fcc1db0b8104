"""Task data, encoders and mask training: all that needs the training packages. Importing this package loads none."""
