"""The parts of the embedded broker: its jars, its Java, its settings, the process that keeps it."""
