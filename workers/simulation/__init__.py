"""A whole derivatives market, simulated: `rialto simulate`."""
