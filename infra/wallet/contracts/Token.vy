# pragma version 0.4.3
"""
@title Rialto demo token
@license Apache-2.0
@notice An ERC-20 token for demonstrations and tests: its deployer mints, everybody else only
        transfers. It exists so that the exchange works against real token contracts offline.
"""

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    amount: uint256

event Approval:
    owner: indexed(address)
    spender: indexed(address)
    amount: uint256

name: public(immutable(String[32]))
symbol: public(immutable(String[16]))
decimals: public(immutable(uint8))
minter: public(immutable(address))

totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])


@deploy
def __init__(token_name: String[32], token_symbol: String[16], token_decimals: uint8):
    name = token_name
    symbol = token_symbol
    decimals = token_decimals
    minter = msg.sender


@internal
def _move(owner: address, receiver: address, amount: uint256):
    assert receiver != empty(address), "receiver is the zero address"
    assert self.balanceOf[owner] >= amount, "balance too low"
    self.balanceOf[owner] -= amount
    self.balanceOf[receiver] += amount
    log Transfer(sender=owner, receiver=receiver, amount=amount)


@external
def transfer(receiver: address, amount: uint256) -> bool:
    self._move(msg.sender, receiver, amount)
    return True


@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowance[msg.sender][spender] = amount
    log Approval(owner=msg.sender, spender=spender, amount=amount)
    return True


@external
def transferFrom(owner: address, receiver: address, amount: uint256) -> bool:
    assert self.allowance[owner][msg.sender] >= amount, "allowance too low"
    self.allowance[owner][msg.sender] -= amount
    self._move(owner, receiver, amount)
    return True


@external
def mint(receiver: address, amount: uint256) -> bool:
    assert msg.sender == minter, "only the minter mints"
    assert receiver != empty(address), "receiver is the zero address"
    self.totalSupply += amount
    self.balanceOf[receiver] += amount
    log Transfer(sender=empty(address), receiver=receiver, amount=amount)
    return True
