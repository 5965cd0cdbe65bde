"""Reports as files that open anywhere: one HTML file each, with nothing to fetch."""
