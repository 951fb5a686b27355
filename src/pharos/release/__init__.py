"""How the city changes safely: simulation now; versions, rollouts and experiments later."""
