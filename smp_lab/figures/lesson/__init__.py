"""The pictures of the lesson, a file for each screen. Kept is orange, removed is grey."""
