"""The normal door for commands: FastAPI over the fleet. May import what lies below it.

`api.schemas` imports pydantic only, so that every client may use it.
"""
