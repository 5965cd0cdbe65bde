"""The compiled push schema of MEXC spot. `mexc_push.proto` is the source; nothing here is written by hand but that.

May import: protobuf. Regenerate with `python -m trading.adapters.mexc.proto.compile_schema`.
"""
