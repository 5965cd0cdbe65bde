"""Streamlit pages: a client of the API. May import api.schemas and nothing else of ours."""
