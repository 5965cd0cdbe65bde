"""Floor 0: the words everybody speaks. Frozen values only; imports the standard library and nothing that does I/O."""
