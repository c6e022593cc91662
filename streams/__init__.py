"""What flows, and the doors: topics, runs, the carrying loop, the broker, connectors, the gateway."""
