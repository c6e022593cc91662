"""``zuruf simulate``: the engine's rules in virtual time, from measured cases, a profile or a recorded history."""
