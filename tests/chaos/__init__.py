"""The chaos suite: the engine is killed, stopped and moved about, and a referee outside it counts what came out."""
