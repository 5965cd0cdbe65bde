"""The normal door for commands: FastAPI over the fleet. May import what lies below: actors, simulator, trading. api.schemas imports pydantic only."""
