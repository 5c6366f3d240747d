"""Public data sets: found or fetched, checked, and kept as normalised arrays that trials map into memory."""
