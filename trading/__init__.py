"""The trading core and its adapters: model (words), engine (decisions), adapters (I/O). Imports only go down."""
