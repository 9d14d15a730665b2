"""The Binance-compatible routes: a translator over the services of the native API."""
