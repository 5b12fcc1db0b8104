"""What pages share: caches, controls, sentences for errors, and links."""
