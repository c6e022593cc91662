"""What acts: the steps of the flow, their wiring and the command line."""
