"""What Zuruf knows: values and rules; no Faust, no socket, no clock."""
