"""Pure rules of the exchange: no clock, no randomness, no float, no IO."""
