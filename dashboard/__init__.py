"""What people look at: a Streamlit client of the API. May import `api.schemas` and nothing else of ours.

Run as `python -m streamlit run dashboard/app.py` with MEXCBOT_API (the API's base URL) and MEXCBOT_TOKEN_FILE (a file
that holds one token) in the environment. With a read token everything shows and no command is taken.
"""
