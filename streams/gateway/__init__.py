"""The push gateway: desks and boards over websockets."""
