"""Recordings: rows as they came from the line, in segments while they grow and in Parquet once sealed.

May import `trading.model`, `trading.adapters.mexc` and I/O libraries; pyarrow only in `parquet` and what stands on
it, so that a symbol actor records without loading it.
"""
