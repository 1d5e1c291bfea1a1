"""How fast checkpoints run on this machine, engine by engine: what `depth-anything benchmark` measures and shows."""
