"""What the app does, without its screens: no module here imports streamlit."""
