"""The client of the native API: typed calls, sent by a waiting or an asynchronous client.

    with Client(url, ApiAccount("me", key, secret)) as exchange:
        placed = exchange.send(orders.place(PlaceOrderIn(symbol="ETH/USDT", ...)))

What is sent and answered are the API's own schemas (`api.schemas`). docs/client.md explains it.
"""
