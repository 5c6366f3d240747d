"""The C library that generated projects link: real .c and .h files."""
