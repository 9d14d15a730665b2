from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CommandBatch(_message.Message):
    __slots__ = ("commands", "correlation")
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_FIELD_NUMBER: _ClassVar[int]
    commands: bytes
    correlation: int
    def __init__(self, commands: _Optional[bytes] = ..., correlation: _Optional[int] = ...) -> None: ...

class EventBatch(_message.Message):
    __slots__ = ("events", "correlation")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_FIELD_NUMBER: _ClassVar[int]
    events: bytes
    correlation: int
    def __init__(self, events: _Optional[bytes] = ..., correlation: _Optional[int] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ("with_digest", "reset_service_times")
    WITH_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RESET_SERVICE_TIMES_FIELD_NUMBER: _ClassVar[int]
    with_digest: bool
    reset_service_times: bool
    def __init__(self, with_digest: _Optional[bool] = ..., reset_service_times: _Optional[bool] = ...) -> None: ...

class StatusReason(_message.Message):
    __slots__ = ("cause", "sequence", "time_us", "actor", "reason")
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    cause: int
    sequence: int
    time_us: int
    actor: str
    reason: str
    def __init__(self, cause: _Optional[int] = ..., sequence: _Optional[int] = ..., time_us: _Optional[int] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SymbolStatus(_message.Message):
    __slots__ = ("symbol_id", "state", "last_ticks", "open_orders", "status")
    SYMBOL_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LAST_TICKS_FIELD_NUMBER: _ClassVar[int]
    OPEN_ORDERS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    symbol_id: int
    state: int
    last_ticks: int
    open_orders: int
    status: StatusReason
    def __init__(self, symbol_id: _Optional[int] = ..., state: _Optional[int] = ..., last_ticks: _Optional[int] = ..., open_orders: _Optional[int] = ..., status: _Optional[_Union[StatusReason, _Mapping]] = ...) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("sequence", "durable_sequence", "time_us", "digest", "chain", "engine", "build", "mode", "shard", "epoch", "journal_id", "ack_policy", "first_event_sequence", "symbols", "cursors", "mode_status", "loop", "service_count", "service_p50_ns", "service_p99_ns", "service_p999_ns", "service_max_ns", "stalls", "loop_priority", "loop_queued_ns", "loop_pushed_aside", "loop_page_faults")
    class CursorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DURABLE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_ID_FIELD_NUMBER: _ClassVar[int]
    ACK_POLICY_FIELD_NUMBER: _ClassVar[int]
    FIRST_EVENT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    CURSORS_FIELD_NUMBER: _ClassVar[int]
    MODE_STATUS_FIELD_NUMBER: _ClassVar[int]
    LOOP_FIELD_NUMBER: _ClassVar[int]
    SERVICE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SERVICE_P50_NS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_P99_NS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_P999_NS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_MAX_NS_FIELD_NUMBER: _ClassVar[int]
    STALLS_FIELD_NUMBER: _ClassVar[int]
    LOOP_PRIORITY_FIELD_NUMBER: _ClassVar[int]
    LOOP_QUEUED_NS_FIELD_NUMBER: _ClassVar[int]
    LOOP_PUSHED_ASIDE_FIELD_NUMBER: _ClassVar[int]
    LOOP_PAGE_FAULTS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    durable_sequence: int
    time_us: int
    digest: bytes
    chain: bytes
    engine: str
    build: int
    mode: int
    shard: int
    epoch: int
    journal_id: bytes
    ack_policy: str
    first_event_sequence: int
    symbols: _containers.RepeatedCompositeFieldContainer[SymbolStatus]
    cursors: _containers.ScalarMap[str, int]
    mode_status: StatusReason
    loop: str
    service_count: int
    service_p50_ns: int
    service_p99_ns: int
    service_p999_ns: int
    service_max_ns: int
    stalls: _containers.RepeatedCompositeFieldContainer[Stall]
    loop_priority: str
    loop_queued_ns: int
    loop_pushed_aside: int
    loop_page_faults: int
    def __init__(self, sequence: _Optional[int] = ..., durable_sequence: _Optional[int] = ..., time_us: _Optional[int] = ..., digest: _Optional[bytes] = ..., chain: _Optional[bytes] = ..., engine: _Optional[str] = ..., build: _Optional[int] = ..., mode: _Optional[int] = ..., shard: _Optional[int] = ..., epoch: _Optional[int] = ..., journal_id: _Optional[bytes] = ..., ack_policy: _Optional[str] = ..., first_event_sequence: _Optional[int] = ..., symbols: _Optional[_Iterable[_Union[SymbolStatus, _Mapping]]] = ..., cursors: _Optional[_Mapping[str, int]] = ..., mode_status: _Optional[_Union[StatusReason, _Mapping]] = ..., loop: _Optional[str] = ..., service_count: _Optional[int] = ..., service_p50_ns: _Optional[int] = ..., service_p99_ns: _Optional[int] = ..., service_p999_ns: _Optional[int] = ..., service_max_ns: _Optional[int] = ..., stalls: _Optional[_Iterable[_Union[Stall, _Mapping]]] = ..., loop_priority: _Optional[str] = ..., loop_queued_ns: _Optional[int] = ..., loop_pushed_aside: _Optional[int] = ..., loop_page_faults: _Optional[int] = ...) -> None: ...

class Stall(_message.Message):
    __slots__ = ("work", "count", "total_ns", "longest_ns")
    WORK_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_NS_FIELD_NUMBER: _ClassVar[int]
    LONGEST_NS_FIELD_NUMBER: _ClassVar[int]
    work: str
    count: int
    total_ns: int
    longest_ns: int
    def __init__(self, work: _Optional[str] = ..., count: _Optional[int] = ..., total_ns: _Optional[int] = ..., longest_ns: _Optional[int] = ...) -> None: ...

class BalancesRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: int
    def __init__(self, account_id: _Optional[int] = ...) -> None: ...

class Balance(_message.Message):
    __slots__ = ("asset_id", "total_units", "held_units")
    ASSET_ID_FIELD_NUMBER: _ClassVar[int]
    TOTAL_UNITS_FIELD_NUMBER: _ClassVar[int]
    HELD_UNITS_FIELD_NUMBER: _ClassVar[int]
    asset_id: int
    total_units: int
    held_units: int
    def __init__(self, asset_id: _Optional[int] = ..., total_units: _Optional[int] = ..., held_units: _Optional[int] = ...) -> None: ...

class BalancesReply(_message.Message):
    __slots__ = ("sequence", "balances")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    BALANCES_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    balances: _containers.RepeatedCompositeFieldContainer[Balance]
    def __init__(self, sequence: _Optional[int] = ..., balances: _Optional[_Iterable[_Union[Balance, _Mapping]]] = ...) -> None: ...

class OpenOrdersRequest(_message.Message):
    __slots__ = ("account_id", "symbol_id")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: int
    symbol_id: int
    def __init__(self, account_id: _Optional[int] = ..., symbol_id: _Optional[int] = ...) -> None: ...

class OrderTerms(_message.Message):
    __slots__ = ("quote_budget_units", "expires_at_us", "display_lots", "trigger_price_ticks", "trailing_offset_ticks", "list_id")
    QUOTE_BUDGET_UNITS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_US_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_LOTS_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    TRAILING_OFFSET_TICKS_FIELD_NUMBER: _ClassVar[int]
    LIST_ID_FIELD_NUMBER: _ClassVar[int]
    quote_budget_units: int
    expires_at_us: int
    display_lots: int
    trigger_price_ticks: int
    trailing_offset_ticks: int
    list_id: int
    def __init__(self, quote_budget_units: _Optional[int] = ..., expires_at_us: _Optional[int] = ..., display_lots: _Optional[int] = ..., trigger_price_ticks: _Optional[int] = ..., trailing_offset_ticks: _Optional[int] = ..., list_id: _Optional[int] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("order_id", "account_id", "client_key", "client_text", "symbol_id", "side", "order_type", "time_in_force", "post_only", "price_ticks", "quantity_lots", "filled_lots", "accepted_sequence", "accepted_time_us", "status", "self_trade", "terms", "is_waiting", "is_pending", "reduce_only", "close_position", "trigger_source")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_KEY_FIELD_NUMBER: _ClassVar[int]
    CLIENT_TEXT_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_ID_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    ORDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    TIME_IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    POST_ONLY_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    FILLED_LOTS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_TIME_US_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SELF_TRADE_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    IS_WAITING_FIELD_NUMBER: _ClassVar[int]
    IS_PENDING_FIELD_NUMBER: _ClassVar[int]
    REDUCE_ONLY_FIELD_NUMBER: _ClassVar[int]
    CLOSE_POSITION_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_SOURCE_FIELD_NUMBER: _ClassVar[int]
    order_id: int
    account_id: int
    client_key: bytes
    client_text: str
    symbol_id: int
    side: int
    order_type: int
    time_in_force: int
    post_only: bool
    price_ticks: int
    quantity_lots: int
    filled_lots: int
    accepted_sequence: int
    accepted_time_us: int
    status: int
    self_trade: int
    terms: OrderTerms
    is_waiting: bool
    is_pending: bool
    reduce_only: bool
    close_position: bool
    trigger_source: int
    def __init__(self, order_id: _Optional[int] = ..., account_id: _Optional[int] = ..., client_key: _Optional[bytes] = ..., client_text: _Optional[str] = ..., symbol_id: _Optional[int] = ..., side: _Optional[int] = ..., order_type: _Optional[int] = ..., time_in_force: _Optional[int] = ..., post_only: _Optional[bool] = ..., price_ticks: _Optional[int] = ..., quantity_lots: _Optional[int] = ..., filled_lots: _Optional[int] = ..., accepted_sequence: _Optional[int] = ..., accepted_time_us: _Optional[int] = ..., status: _Optional[int] = ..., self_trade: _Optional[int] = ..., terms: _Optional[_Union[OrderTerms, _Mapping]] = ..., is_waiting: _Optional[bool] = ..., is_pending: _Optional[bool] = ..., reduce_only: _Optional[bool] = ..., close_position: _Optional[bool] = ..., trigger_source: _Optional[int] = ...) -> None: ...

class OpenOrdersReply(_message.Message):
    __slots__ = ("sequence", "orders")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    orders: _containers.RepeatedCompositeFieldContainer[Order]
    def __init__(self, sequence: _Optional[int] = ..., orders: _Optional[_Iterable[_Union[Order, _Mapping]]] = ...) -> None: ...

class OrderRequest(_message.Message):
    __slots__ = ("account_id", "order_id", "client_key")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_KEY_FIELD_NUMBER: _ClassVar[int]
    account_id: int
    order_id: int
    client_key: bytes
    def __init__(self, account_id: _Optional[int] = ..., order_id: _Optional[int] = ..., client_key: _Optional[bytes] = ...) -> None: ...

class OrderReply(_message.Message):
    __slots__ = ("sequence", "order")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    order: Order
    def __init__(self, sequence: _Optional[int] = ..., order: _Optional[_Union[Order, _Mapping]] = ...) -> None: ...

class DryRunRequest(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: bytes
    def __init__(self, order: _Optional[bytes] = ...) -> None: ...

class DryRunReply(_message.Message):
    __slots__ = ("sequence", "reason", "hold_units", "list_position")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    HOLD_UNITS_FIELD_NUMBER: _ClassVar[int]
    LIST_POSITION_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    reason: int
    hold_units: int
    list_position: int
    def __init__(self, sequence: _Optional[int] = ..., reason: _Optional[int] = ..., hold_units: _Optional[int] = ..., list_position: _Optional[int] = ...) -> None: ...

class BookRequest(_message.Message):
    __slots__ = ("symbol_id", "depth")
    SYMBOL_ID_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    symbol_id: int
    depth: int
    def __init__(self, symbol_id: _Optional[int] = ..., depth: _Optional[int] = ...) -> None: ...

class BookLevel(_message.Message):
    __slots__ = ("price_ticks", "quantity_lots")
    PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    price_ticks: int
    quantity_lots: int
    def __init__(self, price_ticks: _Optional[int] = ..., quantity_lots: _Optional[int] = ...) -> None: ...

class BookReply(_message.Message):
    __slots__ = ("sequence", "bids", "asks")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    BIDS_FIELD_NUMBER: _ClassVar[int]
    ASKS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    bids: _containers.RepeatedCompositeFieldContainer[BookLevel]
    asks: _containers.RepeatedCompositeFieldContainer[BookLevel]
    def __init__(self, sequence: _Optional[int] = ..., bids: _Optional[_Iterable[_Union[BookLevel, _Mapping]]] = ..., asks: _Optional[_Iterable[_Union[BookLevel, _Mapping]]] = ...) -> None: ...

class PerpetualsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Perpetual(_message.Message):
    __slots__ = ("symbol_id", "phase", "index_ticks", "index_time_us", "sources", "mark_ticks", "mark_is_fresh", "rate_ppm", "funding_time_us", "open_lots")
    SYMBOL_ID_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    INDEX_TICKS_FIELD_NUMBER: _ClassVar[int]
    INDEX_TIME_US_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    MARK_TICKS_FIELD_NUMBER: _ClassVar[int]
    MARK_IS_FRESH_FIELD_NUMBER: _ClassVar[int]
    RATE_PPM_FIELD_NUMBER: _ClassVar[int]
    FUNDING_TIME_US_FIELD_NUMBER: _ClassVar[int]
    OPEN_LOTS_FIELD_NUMBER: _ClassVar[int]
    symbol_id: int
    phase: int
    index_ticks: int
    index_time_us: int
    sources: int
    mark_ticks: int
    mark_is_fresh: bool
    rate_ppm: int
    funding_time_us: int
    open_lots: int
    def __init__(self, symbol_id: _Optional[int] = ..., phase: _Optional[int] = ..., index_ticks: _Optional[int] = ..., index_time_us: _Optional[int] = ..., sources: _Optional[int] = ..., mark_ticks: _Optional[int] = ..., mark_is_fresh: _Optional[bool] = ..., rate_ppm: _Optional[int] = ..., funding_time_us: _Optional[int] = ..., open_lots: _Optional[int] = ...) -> None: ...

class PerpetualsReply(_message.Message):
    __slots__ = ("sequence", "perpetuals")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PERPETUALS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    perpetuals: _containers.RepeatedCompositeFieldContainer[Perpetual]
    def __init__(self, sequence: _Optional[int] = ..., perpetuals: _Optional[_Iterable[_Union[Perpetual, _Mapping]]] = ...) -> None: ...

class HoldingsRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: int
    def __init__(self, account_id: _Optional[int] = ...) -> None: ...

class Holding(_message.Message):
    __slots__ = ("symbol_id", "lots", "cost_units", "leverage", "mode", "margin_units", "mark_ticks", "unrealised_units", "maintenance_units", "liquidation_ticks")
    SYMBOL_ID_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    COST_UNITS_FIELD_NUMBER: _ClassVar[int]
    LEVERAGE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    MARGIN_UNITS_FIELD_NUMBER: _ClassVar[int]
    MARK_TICKS_FIELD_NUMBER: _ClassVar[int]
    UNREALISED_UNITS_FIELD_NUMBER: _ClassVar[int]
    MAINTENANCE_UNITS_FIELD_NUMBER: _ClassVar[int]
    LIQUIDATION_TICKS_FIELD_NUMBER: _ClassVar[int]
    symbol_id: int
    lots: int
    cost_units: int
    leverage: int
    mode: int
    margin_units: int
    mark_ticks: int
    unrealised_units: int
    maintenance_units: int
    liquidation_ticks: int
    def __init__(self, symbol_id: _Optional[int] = ..., lots: _Optional[int] = ..., cost_units: _Optional[int] = ..., leverage: _Optional[int] = ..., mode: _Optional[int] = ..., margin_units: _Optional[int] = ..., mark_ticks: _Optional[int] = ..., unrealised_units: _Optional[int] = ..., maintenance_units: _Optional[int] = ..., liquidation_ticks: _Optional[int] = ...) -> None: ...

class ScopeMargin(_message.Message):
    __slots__ = ("symbol_id", "cash_units", "equity_units", "maintenance_units", "required_units", "leaving_units", "version", "is_gated")
    SYMBOL_ID_FIELD_NUMBER: _ClassVar[int]
    CASH_UNITS_FIELD_NUMBER: _ClassVar[int]
    EQUITY_UNITS_FIELD_NUMBER: _ClassVar[int]
    MAINTENANCE_UNITS_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_UNITS_FIELD_NUMBER: _ClassVar[int]
    LEAVING_UNITS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    IS_GATED_FIELD_NUMBER: _ClassVar[int]
    symbol_id: int
    cash_units: int
    equity_units: int
    maintenance_units: int
    required_units: int
    leaving_units: int
    version: int
    is_gated: bool
    def __init__(self, symbol_id: _Optional[int] = ..., cash_units: _Optional[int] = ..., equity_units: _Optional[int] = ..., maintenance_units: _Optional[int] = ..., required_units: _Optional[int] = ..., leaving_units: _Optional[int] = ..., version: _Optional[int] = ..., is_gated: _Optional[bool] = ...) -> None: ...

class HoldingsReply(_message.Message):
    __slots__ = ("sequence", "positions", "scopes")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    positions: _containers.RepeatedCompositeFieldContainer[Holding]
    scopes: _containers.RepeatedCompositeFieldContainer[ScopeMargin]
    def __init__(self, sequence: _Optional[int] = ..., positions: _Optional[_Iterable[_Union[Holding, _Mapping]]] = ..., scopes: _Optional[_Iterable[_Union[ScopeMargin, _Mapping]]] = ...) -> None: ...

class EventsRequest(_message.Message):
    __slots__ = ("after_sequence", "limit_bytes", "wait_ms")
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    after_sequence: int
    limit_bytes: int
    wait_ms: int
    def __init__(self, after_sequence: _Optional[int] = ..., limit_bytes: _Optional[int] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class EventRange(_message.Message):
    __slots__ = ("first_sequence", "last_sequence", "events")
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    first_sequence: int
    last_sequence: int
    events: bytes
    def __init__(self, first_sequence: _Optional[int] = ..., last_sequence: _Optional[int] = ..., events: _Optional[bytes] = ...) -> None: ...

class CursorRequest(_message.Message):
    __slots__ = ("name", "sequence")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    sequence: int
    def __init__(self, name: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class CursorReply(_message.Message):
    __slots__ = ("durable_sequence",)
    DURABLE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    durable_sequence: int
    def __init__(self, durable_sequence: _Optional[int] = ...) -> None: ...
