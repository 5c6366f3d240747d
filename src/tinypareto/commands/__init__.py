"""The commands of the command line: each parses, calls one library function and prints."""
