"""What pages share: caches, controls, sentences for errors, and links. All Streamlit state is in here."""
