"""The whole, judged from outside: posts in by HTTP, desks over websockets, answers at an address of the referee's own."""
