"""XNNPACK is not used."""

enabled: bool = False
