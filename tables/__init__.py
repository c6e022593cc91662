"""What is remembered: the kinds of rows that steps keep."""
