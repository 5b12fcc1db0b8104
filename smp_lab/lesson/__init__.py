"""The small networks of the lesson: the method on a page of numpy, to be read and to be played with."""
