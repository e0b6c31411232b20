"""Data in and out: other formats, other people's releases, arrays of your own."""
