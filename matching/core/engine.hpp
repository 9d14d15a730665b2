// The matching engine: sequenced commands in, event stripes out. Specification: reference.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "deleveraging.hpp"
#include "events.hpp"
#include "framing.hpp"
#include "insurance.hpp"
#include "scopes.hpp"
#include "state.hpp"
#include "wire.hpp"

namespace rialto {

struct SequenceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What would come of an order or a list: a refusal and which order's (of a list), or its hold.
struct DryRun {
  Reason reason;
  std::int64_t hold;
  int list_position;
};

// One order of a list that is to be placed.
struct Listed {
  const std::uint8_t* record;
  Terms terms;
  std::uint64_t hash;
  Slot known;  // the order that was placed under its key before, or 0

  const Command& command() const { return command_at(record); }
};

// A pair of a plan: the counterparty, and what the liquidated closes against it.
struct DeleveragedPair {
  std::uint32_t counterparty;
  std::int64_t delta_lots, quote_units, haircut_units;
};

// How a position is closed against others; what nobody takes is left.
struct Deleveraging {
  std::vector<DeleveragedPair> pairs;
  std::int64_t left_lots = 0;
};

using Candidates = std::vector<std::pair<std::uint32_t, Scope>>;  // who could be closed, in rank
using SettlementPlans = std::vector<std::pair<std::uint32_t, Deleveraging>>;  // by account

// A step of a liquidation that may be taken: on which position of which frozen scope.
struct Step {
  Market* market = nullptr;
  std::uint32_t account = 0;
  std::uint16_t symbol_id = 0;  // the scope's: 0 for cross
  Frozen* frozen = nullptr;
  Scope scope;
  const Exposure* exposure = nullptr;  // in `scope`, of the market
  std::int64_t delta_lots = 0;         // what is asked to close, signed
};

// Why positions may not be closed in a market now.
Reason refuse_phase(const Perpetual& perpetual, bool is_fresh);

// What comes of the checks of an order that is asked for.
struct Admission {
  Market* market = nullptr;
  std::int64_t limit = 0;  // up to which it trades
  std::int64_t hold = 0;
  std::int64_t lots = 0;  // of an order on a perpetual: what it may be of what was asked for
};

// The orders of a list that is to be placed, and of which kind it is.
struct AskedList {
  Listed orders[kMaxListed];
  int count;
  std::uint16_t kind;
  bool is_whole;
};

// What an amend changes.
struct AmendedTerms {
  std::int64_t price, quantity, hidden, trigger;
};

// What is wrong with an order whatever the market.
Reason order_syntax(const Command& command, const std::uint8_t* record, const Terms& terms);

class Engine {
  friend class Sweep;

 public:
  explicit Engine(std::uint32_t shard) : state(shard) {}

  // Applies a whole batch, or throws before any effect.
  std::span<const EventStripe> apply(const std::uint8_t* data, std::size_t size);

  // What would come of a whole PLACE_ORDER or PLACE_ORDER_LIST record now; no effect.
  DryRun dry_run(const std::uint8_t* record);

  State state;
  EventWriter events;
  std::uint64_t* stamps = nullptr;  // of the next batch: counter before it and after each command

  // Also used by restore.
  void add_waiting(Slot slot);
  void rest_all(const std::vector<Slot>& resting, const std::vector<Slot>& waiting);
  void file_closed(Slot slot);
  Slot adopt(const Order& order);
  void expect_expiry();

 private:
  struct Place {
    std::uint32_t offset;
    Slot guess;  // of the order it names, as it stood when it was looked for; else 0
    std::uint64_t hash;
  };
  // Commands between asking for memory and using it: far enough for it to come, near enough that
  // few requests are under way at once and the first of a batch need not wait for long.
  static constexpr std::size_t kAheadIndex = 32, kAheadOrder = 20, kAheadNear = 10;

  void look_at_order(const std::uint8_t* data, Place& place) const;
  void look_near(const std::uint8_t* data, const Place& place) const;
  void check(const std::uint8_t* data, std::size_t size);
  void look_at_forgotten(std::uint32_t account) const;
  void look_near_forgotten(std::uint32_t account) const;
  [[gnu::always_inline]] inline void step(const std::uint8_t* record, const Place& place);
  [[gnu::always_inline]] inline void act(const Command& command, const std::uint8_t* record,
                                         const Place& place);

  void place(const Command& command, const std::uint8_t* record, std::uint64_t hash);
  [[gnu::always_inline]] inline Slot accept(const Command& command, const std::uint8_t* record,
                                            std::uint32_t account, const Terms& terms,
                                            bool has_terms, std::uint64_t hash, std::int64_t lots,
                                            std::int64_t hold, std::uint64_t entry_id);
  Slot accept_listed(const Listed& listed, std::uint32_t account, const Admission& in,
                     std::uint64_t entry_id);
  Slot accept_cut(const Command& command, const std::uint8_t* record, std::uint32_t account,
                  const Terms& terms, bool has_terms, std::uint64_t hash, const Admission& in);
  void place_perpetual(const Command& command, const std::uint8_t* record, const Terms& terms,
                       bool has_terms, std::uint64_t hash, const Admission& in);
  bool same_body(const Command& command, const Terms& terms, Slot slot) const;
  void write_duplicate(const Command& command, std::uint16_t symbol_id, Slot slot, bool same);
  void place_list(const Command& command, const std::uint8_t* record);
  DryRun dry_run_list(const std::uint8_t* record);
  void read_list(const std::uint8_t* record, AskedList& asked) const;
  bool answer_known(const Command& head, const AskedList& asked);
  bool is_repeat(const AskedList& asked) const;
  Reason refuse_list(const AskedList& asked, std::uint32_t account, Admission* in, int& position);
  Reason refuse_oco(const AskedList& asked, std::uint32_t account, Admission* in, int& position);
  Reason refuse_bracket(const AskedList& asked, std::uint32_t account, Admission& in,
                        int& position);
  Reason refuse_child(const Listed& listed, const Market& market, std::uint32_t account,
                      std::int64_t entry_price) const;
  bool too_many(const Market& market, std::uint32_t account, int count) const;
  void place_oco(const AskedList& asked, std::uint32_t account, Admission* in);
  void place_bracket(const AskedList& asked, std::uint32_t account, const Admission& in);
  void link(Slot first, Slot second, std::int64_t covered);
  void link_again(Slot second);
  Slot unlink(Slot slot);
  void end_list(Market& market, Slot slot);
  void close_rare(Market& market, Slot slot, Close reason);
  void close_all(const std::vector<Slot>& slots, Close reason);
  bool go_together(Slot slot, Slot following) const;
  int children_of(std::uint64_t entry, Slot* children) const;
  bool embraced(const Order& entry, std::int64_t price) const;
  void add_pending(Slot slot);
  void remove_pending(Market& market, Slot slot);
  void entry_ended(Market& market, Slot slot);
  void see_to(Market& market, std::uint64_t entry);
  void arm(Market& market, const Slot* children, int count);
  Reason refuse_armed(Market& market, Slot slot, std::int64_t& hold);
  Reason refuse_armed_perpetual(const Market& market, Slot slot);
  void stand_armed(Market& market, Slot slot);
  void cancel(const Command& command, const Place& place);
  void cancel_all(const Command& command);
  void amend(const Command& command, const std::uint8_t* record, std::uint64_t hash);
  void set_dead_mans_switch(const Command& command);
  bool key_used(const Command& command, std::int64_t content, std::int64_t created_us);
  void remember(const Command& command, Reason reason, std::int64_t content,
                std::int64_t created_us);
  void money(const Command& command);
  void list_symbol(const Command& command, const std::uint8_t* record);
  void write_listed(const Command& command, const std::uint8_t* record, const Rules& rules);
  void set_parameters(const Command& command, const std::uint8_t* record);
  void set_account_tier(const Command& command);
  void set_symbol_state(const Command& command, const std::uint8_t* record);
  void set_shard_mode(const Command& command, const std::uint8_t* record);
  void delist_symbol(const Command& command, const std::uint8_t* record);
  bool read_status(std::int64_t cause, const std::uint8_t* record, StatusReason& status) const;
  static void write_said(EventStripe* event, const StatusStripes& said);
  void write_state_set(EventType type, const Command& command, const StatusStripes& said);

  void list_perpetual(const Command& command, const std::uint8_t* record);
  void set_risk_parameters(const Command& command, const std::uint8_t* record);
  void write_terms_set(const Market& market);
  void set_perpetual_state(const Command& command, const std::uint8_t* record);
  void begin_settlement(Market& market);
  Reason refuse_seat(const Market* market, std::uint64_t account_id) const;
  void set_leverage(const Command& command);
  Reason refuse_leverage(Market& market, std::uint32_t account, std::int64_t leverage);
  void set_index(const Command& command, const std::uint8_t* record);
  void review(Market& market);
  bool move(Market& market, StateTrigger trigger, Trip cause, const StatusStripes& said);
  void pass_time();
  void start();
  void take_sample(Market& market);
  void settle_funding(const Command& command, const std::uint8_t* record);
  Reason refuse_funding(const Market* market, const Command& command) const;
  void pay_funding(Market& market, const Command& command, std::int64_t rate_ppm,
                   std::int64_t premium_ppm, const Deleveraging* plan);
  Candidates ranked_against(const Market& market, std::int64_t lots) const;
  Deleveraging plan_pairs(Scope& scope, std::uint16_t symbol_id, Candidates& candidates) const;
  Deleveraging plan_for(const Market& market, std::uint32_t account) const;
  void apply_pairs(Market& market, std::uint32_t account, const Deleveraging& plan);
  void apply_pair(Market& market, std::uint32_t account, const DeleveragedPair& pair,
                  const Key& key);
  std::vector<Slot> open_in(std::uint32_t account, const Market& market) const;
  std::int64_t fund_units() const;
  void note_fund();
  bool fund_stops(const Perpetual& perpetual, std::int64_t cash) const;
  void say_scope(std::uint32_t account, std::uint16_t symbol_id);
  void refuse_step(const Command& command, Reason reason, std::uint16_t symbol_id);
  std::uint16_t scope_in(const Command& command) const;
  Reason refuse_scope(const Command& command) const;
  void freeze(const Command& command, const std::uint8_t* record);
  bool backs(std::uint32_t account, Slot slot, std::uint16_t symbol_id) const;
  void unfreeze(const Command& command, const std::uint8_t* record);
  Reason begin(const Command& command, const std::uint8_t* record, Step& step);
  Reason refuse_takeover(const Step& step) const;
  static Reason refuse_slice(const Step& step);
  Reason refuse_limit(const Step& step, std::int64_t asked, bool fund_may_pay,
                      std::int64_t& limit) const;
  Slot closing_order(const Market& market, std::uint32_t account, std::int64_t delta_lots,
                     std::int64_t limit);
  Slot next_maker(Market& market, Slot taker);
  void liquidate(const Command& command, const std::uint8_t* record);
  void write_placed(EventType type, const Command& command, Slot taker, unsigned flags);
  void liquidate_in_book(const Step& step, Slot taker, bool fund_may_pay);
  Reason takeover_capacity(const Step& step, std::int64_t& lots) const;
  void take_over(const Command& command, const std::uint8_t* record);
  void deleverage(const Command& command, const std::uint8_t* record);
  void top_up_fund(const Command& command, const std::uint8_t* record);
  void sweep_dust(const Command& command, const std::uint8_t* record);
  void add_to_fund(EventType type, const Command& command, std::int64_t units);
  Reason refuse_unwind(const Market* market, const Command& command) const;
  void unwind(const Command& command, const std::uint8_t* record);
  bool unwind_in_book(Market& market, std::uint32_t fund, Slot taker);
  void set_margin_mode(const Command& command);
  Reason refuse_move(const Market* market, const Command& command) const;
  void move_margin(const Command& command, const std::uint8_t* record);
  void settle_market(const Command& command, const std::uint8_t* record);
  Reason refuse_settlement(const Market* market, const Command& command) const;
  Reason plan_settlement(const Market& market, SettlementPlans& plans,
                         std::vector<std::uint32_t>& left) const;
  Reason refuse_fund_end(const Market& market,
                         const std::map<std::uint32_t, Scope>& changed) const;
  void settle_position(Market& market, std::uint32_t account);
  void cut_whole(std::vector<Slot>& slots, std::size_t most) const;
  std::vector<Slot> first_orders(const Market& market, std::size_t& open) const;
  void act_on_risk(const Command& command, const std::uint8_t* record);

  Reason refuse_order(const Command& command, const std::uint8_t* record, std::uint32_t account,
                      const Terms& terms, Admission& in);
  Reason refuse_kind(const Command& command, const Market& market, std::uint32_t account,
                     const Terms& terms) const;
  bool is_full(const Market& market, std::uint32_t account) const;
  Reason refuse_position(const Market& market, std::uint16_t flags, std::uint32_t account,
                         std::int64_t more_lots, bool clamps, std::int64_t& left) const;
  Reason refuse_margin(std::uint32_t account, const Wanted& wanted) const;
  Reason refuse_prospect(std::uint32_t account, const Wanted& wanted) const;
  Reason refuse_perpetual_order(const Command& command, std::uint32_t account, bool plain,
                                Admission& in);
  Reason refuse_triggered(Market& market, Slot slot, std::int64_t limit, std::int64_t& lots) const;
  Reason refuse_amended_perpetual(Slot slot, std::int64_t price, std::int64_t quantity,
                                  std::int64_t whole) const;
  // Whether an account has that much of an asset that nothing holds; of collateral, that its margin
  // does not need.
  bool can_spend(std::uint32_t account, std::uint16_t asset, std::int64_t units) const {
    if (account == 0) return units <= 0;
    if (asset == state.collateral) [[unlikely]]
      return free_units(state, account, asset) >= units;
    const Balance& balance = state.balance(account, asset);
    return balance.total - balance.held >= units;
  }
  Reason closed(const Market& market) const;
  Reason refuse_budget(Market& market, const Command& command, std::uint32_t account,
                       std::int64_t budget, std::int64_t limit);
  Reason order_rules(const Market& market, std::uint16_t flags, std::int64_t lots,
                     std::uint32_t account, std::int64_t limit) const;
  bool fillable(const Market& market, std::uint16_t flags, std::int64_t lots,
                std::uint32_t account, std::int64_t limit) const;
  Prospect prospect(const Market& market, std::uint16_t flags, std::int64_t lots,
                    std::uint32_t account, std::int64_t limit) const;
  std::vector<RestingReduceOnly> reduce_only_orders(const Market& market, std::uint32_t account,
                                                    int side) const;
  bool exceeds_position(const Market& market, std::uint32_t account, std::int64_t more_lots) const;
  Reason refuse_cancel(const Command& command);
  Reason refuse_amend(const Command& command, std::int64_t trigger, Slot slot);
  Reason refuse_waiting(const Command& command, std::uint32_t account, const Terms& terms,
                        Admission& in);
  Reason aim_rules(const Market& market, std::uint16_t flags, const Terms& terms,
                   std::int64_t price, std::int64_t quantity) const;
  Reason refuse_amend_waiting(const Command& command, std::int64_t trigger, Slot slot);
  Reason waiting_rules(Market& market, std::uint16_t flags, const Terms& terms,
                       std::uint32_t account, std::int64_t price, std::int64_t quantity,
                       std::int64_t own_hold, std::int64_t own_lots, std::int64_t& hold);
  void amend_waiting(const Command& command, std::int64_t trigger, Slot slot);
  void write_amended(const Command& command, Slot slot, const AmendedTerms& before,
                     const AmendedTerms& after, unsigned how);
  void wait(Market& market, Slot slot);
  void hold_waiting(Market& market, Slot slot, int sign);
  void close_outside(Market& market, Slot slot, Close reason);
  void stand(Market& market, Slot slot, bool stop, Close stopped);
  void remove_waiting(Market& market, Slot slot);
  void list_waiting(Slot slot);
  void touch(Market& market, Slot maker);
  void run_triggers();
  bool see_to_next(Market& market);
  bool set_off_next(Market& market, const Waits& waits);
  void follow(Market& market, int source);
  void touch_source(Market& market, int source);
  void set_off(Market& market, Slot slot);
  [[gnu::always_inline]] inline bool is_open(Slot slot, const Command& command) const;
  Slot find_open(const Command& command, std::uint64_t id, std::uint64_t hash) const;

  bool match(Market& market, Slot taker, std::int64_t limit, Close& stopped);
  [[gnu::always_inline]] inline void fill(Market& market, Slot maker, Slot taker,
                                          std::int64_t lots);
  void fill_perpetual(Market& market, Slot maker, Slot taker, std::int64_t lots,
                      const std::int64_t* insurance);
  enum class Meeting : std::uint8_t { kTrades, kPasses, kEnds };
  Meeting meet(Market& market, Slot maker, Slot taker, std::int64_t lots, Close& stopped);
  bool ruins(const Market& market, Slot slot, Slot maker, std::int64_t lots,
             bool pays_rebates = true) const;
  void end_uncovered(std::uint32_t account);
  std::int64_t held_by(Slot slot) const;
  void trim(Market& market, std::uint32_t account);
  void note_scope(std::uint32_t account, std::uint16_t symbol_id);
  [[gnu::always_inline]] inline void use_up(Market& market, Slot slot, Close reason);
  void refill(Market& market, Slot slot);
  void hide(Slot slot);
  Close spend(Market& market, Slot taker, std::int64_t limit);
  bool decrement(Market& market, Slot maker, Slot taker);
  void finish(Market& market, Slot slot, bool stop, Close stopped);
  [[gnu::always_inline]] inline void rest(Slot slot);
  [[gnu::always_inline]] inline void list_open(Slot slot);
  [[gnu::always_inline]] inline void watch_expiry(Slot slot);
  void delist(Market& market, Slot slot);
  void hold_rested(Market& market, Slot slot);
  void close_resting(Market& market, Slot slot, Close reason);

  void reject(const Command& command, Reason reason, std::uint64_t account_id,
              std::uint16_t symbol_id, int list_position = 0);
  [[gnu::always_inline]] inline void write_standing(EventType type, const Market& market,
                                                    Slot slot);
  void write_closed(const Market& market, Slot slot, Close reason, bool resting);
  void forget(Slot slot);
  std::size_t expire();
  std::size_t expire_due();
  std::size_t fire_switches(std::size_t count);

  std::uint64_t order_id(std::uint64_t number) const {
    return std::uint64_t{state.shard} << 48 | number;
  }

  std::vector<Place> places_;  // of the batch at hand, the first `count_`
  std::size_t count_ = 0;
};

}  // namespace rialto
