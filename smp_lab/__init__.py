"""SMP Lab: learn binary masks over frozen pre-trained encoders, keep them, look at them."""

__version__ = "0.1.0"
