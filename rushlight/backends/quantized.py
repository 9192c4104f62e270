"""There are no quantized tensors: the engine can be chosen, without effect."""

engine: str = "none"
supported_engines: list[str] = ["none"]
