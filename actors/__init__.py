"""The fleet: Ray actors, their launcher and the command line. May import simulator and trading."""
