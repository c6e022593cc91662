"""What is shown: the pages of desk, board and chat."""
