"""A mask in use, with torch: fewer rows, columns and heads where the mask left them empty."""
