"""Reasons of markets: why a tender is refused, or an order is not matched. One meaning and one gRPC status each.

``python -m trading.reasons`` prints them as the table in docs/trading.md.
"""

from digitalgrid.reasons import ExplainedReason, RefusalCode, reasons_table

_INVALID = RefusalCode.INVALID_ARGUMENT
_NOT_FOUND = RefusalCode.NOT_FOUND
_EXISTS = RefusalCode.ALREADY_EXISTS
_DENIED = RefusalCode.PERMISSION_DENIED
_PRECONDITION = RefusalCode.FAILED_PRECONDITION
_EXHAUSTED = RefusalCode.RESOURCE_EXHAUSTED


class MarketReason(ExplainedReason):
    """``field`` is what of the tender it is about; empty where it is none of it."""

    # The tender itself.
    NOT_A_WHOLE_NUMBER = (
        "NOT_A_WHOLE_NUMBER",
        _INVALID,
        "",
        "a quantity, price or time is no integer",
        "give whole Wh, millionths of the currency per kWh, and nanoseconds",
    )
    NUMBER_TOO_LARGE = (
        "NUMBER_TOO_LARGE",
        _INVALID,
        "",
        "a number or time is above what 64 bits hold",
        "give one up to 9,223,372,036,854,775,807; an order never waits beyond the gate of its interval",
    )
    ORDER_ID_UNFIT = (
        "ORDER_ID_UNFIT",
        _INVALID,
        "order_id",
        "the id is empty, too long, or has characters that no terminal can show",
        "choose an id of 1 to 64 letters, digits and signs",
    )
    QUANTITY_NOT_POSITIVE = (
        "QUANTITY_NOT_POSITIVE",
        _INVALID,
        "wh",
        "the quantity is 0 or less",
        "give 1 Wh at least; the side says which way it goes",
    )
    QUANTITY_TOO_LARGE = (
        "QUANTITY_TOO_LARGE",
        _INVALID,
        "wh",
        "the quantity is above all that is reckoned with",
        "give less; quantities are in Wh",
    )
    PRICE_OUT_OF_RANGE = (
        "PRICE_OUT_OF_RANGE",
        _INVALID,
        "limit",
        "the limit is beyond 9 of the currency per kWh, either way",
        "give millionths of the currency per kWh",
    )
    TICK = (
        "TICK",
        _INVALID,
        "limit",
        "the limit is no multiple of the market's tick",
        "round a buyer's limit down and a seller's up",
    )
    MIN_FILL_OUT_OF_RANGE = (
        "MIN_FILL_OUT_OF_RANGE",
        _INVALID,
        "min_fill_wh",
        "the least fill is below 0 or above the quantity",
        "give 0 for any fill",
    )
    EXPIRY_MISSING = (
        "EXPIRY_MISSING",
        _INVALID,
        "expires_ns",
        "the order is good till a date, and none is given",
        "say when it ends, or let it be good till cancelled",
    )
    EXPIRY_UNWANTED = (
        "EXPIRY_UNWANTED",
        _INVALID,
        "expires_ns",
        "a date is given, and the order is not good till one",
        "leave it out, or choose the time in force that has one",
    )
    EXPIRED = (
        "EXPIRED",
        _PRECONDITION,
        "expires_ns",
        "the order's date is over",
        "tender again with a later one",
    )
    LOSS_LIMIT_OUT_OF_RANGE = (
        "LOSS_LIMIT_OUT_OF_RANGE",
        _INVALID,
        "constraints.max_loss_ppm",
        "the most that may be lost does not lie between 0 and 1,000,000 millionths",
        "give millionths of what is injected",
    )
    TOO_MANY_IDS = (
        "TOO_MANY_IDS",
        _INVALID,
        "constraints.avoid_ids",
        "more is to be avoided than is looked for",
        "name fewer",
    )
    AVOIDED_ID_UNFIT = (
        "AVOIDED_ID_UNFIT",
        _INVALID,
        "constraints.avoid_ids",
        "an id that is to be avoided is empty, too long, or has characters that no terminal can show",
        "name lines and routers by the ids that the network has for them",
    )
    TAGS_UNFIT = (
        "TAGS_UNFIT",
        _INVALID,
        "tags",
        "the tags are too many, or one is empty, too long, or has characters that no terminal can show",
        "give up to 16, of 1 to 64 letters, digits and signs each",
    )
    TENDER_TOO_LONG = (
        "TENDER_TOO_LONG",
        _INVALID,
        "",
        "ids, tags and what is to be avoided have more than 2,048 bytes together",
        "avoid fewer ids, or tag less",
    )
    # When.
    INTERVAL_UNKNOWN = (
        "INTERVAL_UNKNOWN",
        _NOT_FOUND,
        "interval",
        "the market has no such interval",
        "name a start and length that it trades",
    )
    INTERVAL_TOO_SHORT = (
        "INTERVAL_TOO_SHORT",
        _INVALID,
        "interval",
        "the interval is shorter than one tick of the routers",
        "trade longer intervals",
    )
    INTERVAL_CLOSED = (
        "INTERVAL_CLOSED",
        _PRECONDITION,
        "interval",
        "the gate of the interval has closed, or the interval is over",
        "tender for a later one",
    )
    CLEARER_LOADING = (
        "CLEARER_LOADING",
        RefusalCode.UNAVAILABLE,
        "interval",
        "the interval began before its orders were matched: the worker that clears was loading or compiling still",
        "tender for a later one; once it is loaded it stays so, until the exchange is started anew",
    )
    NOT_CLEARED = (
        "NOT_CLEARED",
        RefusalCode.UNAVAILABLE,
        "interval",
        "the interval began before there was an answer of its clearing, and nothing of the order was matched",
        "tender for a later one; the exchange's log says what it waited for, as for a controller out of reach",
    )
    # Whose.
    METER_NOT_YOURS = (
        "METER_NOT_YOURS",
        _DENIED,
        "meter_id",
        "the meter is not registered for the party, or not at all",
        "name a meter of yours",
    )
    METER_OTHER_WAY = (
        "METER_OTHER_WAY",
        _INVALID,
        "side",
        "power flows through the meter the other way only",
        "buy for loads, sell from sources",
    )
    BAD_SIGNATURE = (
        "BAD_SIGNATURE",
        _DENIED,
        "signature",
        "the signature is not the party's, or is of other content",
        "sign the tender as it is sent",
    )
    STALE_NONCE = (
        "STALE_NONCE",
        _PRECONDITION,
        "nonce",
        "the party has used this nonce or a later one, of a request that was taken or refused",
        "count on from the last, and sign anew",
    )
    NONCE_TOO_FAR = (
        "NONCE_TOO_FAR",
        _INVALID,
        "nonce",
        "the nonce is more than a day above the market's clock in ns, and no later one would be left",
        "count by the time in ns, and set your clock",
    )
    DUPLICATE_ORDER = (
        "DUPLICATE_ORDER",
        _EXISTS,
        "order_id",
        "the party has tendered something else under this id",
        "choose another id; the same tender may be repeated",
    )
    SIDE_UNKNOWN = (
        "SIDE_UNKNOWN",
        _INVALID,
        "side",
        "a tender is neither to buy nor to sell",
        "say which",
    )
    TIME_IN_FORCE_UNKNOWN = (
        "TIME_IN_FORCE_UNKNOWN",
        _INVALID,
        "tif",
        "this market knows no such time in force",
        "use one that it knows, or leave it out: good till cancelled",
    )
    MECHANISM_UNKNOWN = (
        "MECHANISM_UNKNOWN",
        _INVALID,
        "",
        "this market has no such mechanism",
        "use one of those that the message names",
    )
    BATCH_UNFIT = (
        "BATCH_UNFIT",
        _INVALID,
        "",
        "a batch has no tenders, or more than are taken at a time",
        "send 1 to 512, in several batches where there are more",
    )
    # How much.
    POSITION_LIMIT = (
        "POSITION_LIMIT",
        _EXHAUSTED,
        "wh",
        "with what is agreed and tendered already, the meter could not give or take so much in the interval",
        "tender less, or cancel another order",
    )
    FUNDS = (
        "FUNDS",
        _EXHAUSTED,
        "limit",
        "the balance does not cover the most that the order can cost",
        "deposit money, or tender less",
    )
    BOOK_FULL = (
        "BOOK_FULL",
        _EXHAUSTED,
        "",
        "the party has as many orders in the book as one may",
        "cancel some",
    )
    RATE_LIMIT = (
        "RATE_LIMIT",
        _EXHAUSTED,
        "",
        "the party tenders, or says other things, faster than is allowed",
        "try again after `retry_delay`",
    )
    OVERLOADED = (
        "OVERLOADED",
        _EXHAUSTED,
        "",
        "more is asked of the market than it can write down; it has not looked at the request, nor used up its nonce",
        "try again in a moment; a tender that is repeated under its id is taken once",
    )
    NO_ANSWER = (
        "NO_ANSWER",
        RefusalCode.UNAVAILABLE,
        "",
        "the market asks its controller, or the worker that clears, and has no answer",
        "ask again; `dgctl market status` shows since when the controller is away",
    )
    ENDING = (
        "ENDING",
        RefusalCode.UNAVAILABLE,
        "",
        "the exchange is ending; what was asked last may be durable or not",
        "repeat it under the same id, once the exchange is back",
    )
    # What is looked for.
    TRADE_UNKNOWN = (
        "TRADE_UNKNOWN",
        _NOT_FOUND,
        "",
        "there never was a trade of this id",
        "`dgctl market trades` lists them",
    )
    TRADE_OPEN = (
        "TRADE_OPEN",
        _PRECONDITION,
        "",
        "the market has the trade open, and pays or gives back what is in its escrow itself, for a week after it could"
        " be brought back",
        "see how it stands; what the market has not closed by then is brought back so",
    )
    NO_BILL = (
        "NO_BILL",
        _PRECONDITION,
        "",
        "the trade has no bill: it is not metered yet, or came to nothing before",
        "ask again once its interval has ended",
    )
    NOT_A_PARTY = (
        "NOT_A_PARTY",
        _DENIED,
        "",
        "who objects to the bill neither buys nor sells there",
        "only buyer and seller of a trade may",
    )
    LINE_UNKNOWN = (
        "LINE_UNKNOWN",
        _INVALID,
        "",
        "bills have no such line",
        "name a kind of line: energy, network, toll, shortfall, refusal, overdraw, curtailment or loss",
    )
    NOT_OPEN_TO_OBJECTIONS = (
        "NOT_OPEN_TO_OBJECTIONS",
        _PRECONDITION,
        "",
        "the bill is not made yet, was objected to before, or the time to object to it is over",
        "see its settlement; `times.object_s` of the exchange says how long there is",
    )
    STATEMENT_UNFIT = (
        "STATEMENT_UNFIT",
        _INVALID,
        "",
        "the statement, or the decision, is too long, or has characters that no terminal can show",
        "say it in up to 1,000 characters",
    )
    EVIDENCE_UNFIT = (
        "EVIDENCE_UNFIT",
        _INVALID,
        "",
        "more is named as evidence than is looked at, or a reference is empty, too long, or no terminal can show it",
        "name up to 16 readings, entries of the log, circuits or the like, each in 1 to 128 characters",
    )
    REGISTER_OUT_OF_RANGE = (
        "REGISTER_OUT_OF_RANGE",
        _INVALID,
        "",
        "a register is below 0, or above all that the circuit of the trade can have carried",
        "give what meters counted of this trade, in mJ; a thousand times its contract is the most",
    )
    NOT_DISPUTED = (
        "NOT_DISPUTED",
        _PRECONDITION,
        "",
        "there is nothing to be decided about the trade, or the decision contradicts itself or what was paid already",
        "see its settlement; give registers of both ends that fit each other",
    )
    PAGE_UNKNOWN = (
        "PAGE_UNKNOWN",
        _INVALID,
        "",
        "the page is of less than nothing, or its token none that was given for this listing",
        "repeat the token as it was given, or begin without one",
    )
    NOT_IN_LOG = (
        "NOT_IN_LOG",
        _NOT_FOUND,
        "",
        "the log has no such entry, or was never of that size",
        "ask for the head first: it says how many entries there are",
    )
    # What became of an order.
    ORDER_UNKNOWN = (
        "ORDER_UNKNOWN",
        _NOT_FOUND,
        "order_id",
        "the book has no such order of the party",
        "it may have been filled, cancelled or expired",
    )
    FORECAST = (
        "FORECAST",
        _PRECONDITION,
        "",
        "the meter is not expected to give as much as it offered; of its orders to sell the newest have ended",
        "tender what the forecast leaves: `dgctl market position` tells it",
    )
    CANCELLED = (
        "CANCELLED",
        _PRECONDITION,
        "",
        "the party cancelled the order",
        "tender again",
    )
    NOT_FILLED = (
        "NOT_FILLED",
        _PRECONDITION,
        "tif",
        "what could be had at once was less than all of the order, or had ended",
        "tender for less, or let the order rest in the book",
    )
    SELF_TRADE = (
        "SELF_TRADE",
        _PRECONDITION,
        "",
        "only an order of the same party was there to trade with",
        "use your own power without the market",
    )
    ONE_SIDED = (
        "ONE_SIDED",
        _PRECONDITION,
        "",
        "nobody tendered for the other side",
        "wait for somebody, or for the next interval",
    )
    NO_CROSS = (
        "NO_CROSS",
        _PRECONDITION,
        "limit",
        "no buyer's limit reaches any seller's",
        "tender at another limit",
    )
    BEYOND_PRICE = (
        "BEYOND_PRICE",
        _PRECONDITION,
        "limit",
        "the limit did not reach the price",
        "tender at another limit",
    )
    AT_MARGIN = (
        "AT_MARGIN",
        _PRECONDITION,
        "",
        "the limit is the price, at which one side had less than the other",
        "tender earlier, or at a better limit",
    )
    LEAST_FILL = (
        "LEAST_FILL",
        _PRECONDITION,
        "min_fill_wh",
        "less could be had than the least that the order takes, or that whoever it could have traded with takes",
        "lower the least fill, if it has one",
    )
    BARRED = (
        "BARRED",
        _PRECONDITION,
        "",
        "the network, or its tolls, kept off what was left to trade with",
        "see why its trades were rejected; wait for others, or for the next interval",
    )
    TOLL_BEYOND_LIMIT = (
        "TOLL_BEYOND_LIMIT",
        _PRECONDITION,
        "limit",
        "the price and the tolls of the path together are above what the buyer pays at most",
        "raise the limit by the tolls of the way; the detail has both",
    )
    PATH_OUT_OF_RANGE = (
        "PATH_OUT_OF_RANGE",
        _PRECONDITION,
        "",
        "tolls of the path are beyond 9 of the currency per kWh, or its losses can cost more than 64 bits hold",
        "have the operator mend `cost_per_mwh` of the lines of the path",
    )
    # Of meters that have keys of their own, and the log that they are registered with.
    METER_NOT_REGISTERED = (
        "METER_NOT_REGISTERED",
        _PRECONDITION,
        "meter_id",
        "the meter has a key, and that has not said that it trades here; or it does so from a later time on, or is"
        " about to leave",
        "register it: `dgctl market meter register`; with the release of the market that has it, if one has",
    )
    METER_REGISTERED = (
        "METER_REGISTERED",
        _EXISTS,
        "",
        "the meter is registered here already",
        "nothing is to be done; `dgctl market meter show` says since when",
    )
    METER_BUSY = (
        "METER_BUSY",
        _PRECONDITION,
        "meter_id",
        "something of the meter waits, or is agreed, for an interval that is not over",
        "cancel what waits, and release it once the interval is over",
    )
    METER_HAS_NO_KEY = (
        "METER_HAS_NO_KEY",
        _PRECONDITION,
        "meter_id",
        "no meter that may be moved has this key, or no key is known of the meter",
        "have the operator add the `public_key` of the meter to the market's file",
    )
    CERTIFICATE_UNFIT = (
        "CERTIFICATE_UNFIT",
        _INVALID,
        "",
        "what the meter has signed cannot be read, is of another log, of no epoch, or of a time before its release",
        "have the meter's key sign anew, for this market's log",
    )
    BAD_METER_SIGNATURE = (
        "BAD_METER_SIGNATURE",
        _DENIED,
        "",
        "the meter's own key has not signed this",
        "sign with the key whose public half the market has: only who has it moves the meter",
    )
    EPOCH_NOT_NEXT = (
        "EPOCH_NOT_NEXT",
        _PRECONDITION,
        "",
        "the epoch is not the one after that which was released last, or not the one that is to end",
        "see `dgctl market meter show`; a meter that was registered elsewhere needs the release of that market",
    )
    RELEASE_MISSING = (
        "RELEASE_MISSING",
        _PRECONDITION,
        "",
        "the meter has left for another market, which has not released it as far as is shown",
        "release it there, to this market's log, and give the proof of that",
    )
    RELEASE_REPLAYED = (
        "RELEASE_REPLAYED",
        _PRECONDITION,
        "",
        "the release is of an epoch that is over: the meter was registered here since",
        "give the release of the market that had the meter last",
    )
    RELEASE_OF_ANOTHER = (
        "RELEASE_OF_ANOTHER",
        _PRECONDITION,
        "",
        "the release is of another meter, or to another market",
        "release this meter, to this market's log",
    )
    RELEASE_FORGED = (
        "RELEASE_FORGED",
        _DENIED,
        "",
        "the proof of the release does not hold: its entry is not beneath its head, or a signature is not good",
        "take it from the market that released the meter: `dgctl market meter show --proof`",
    )
    LOG_UNKNOWN = (
        "LOG_UNKNOWN",
        _DENIED,
        "",
        "the release is of a log, or to one, that this market knows no exchange by, or is signed with a key that its"
        " log has given up",
        "have the operator add the log to `known_logs`, if it is another market's; or take the proof anew",
    )
    FORECAST_OUT_OF_RANGE = (
        "FORECAST_OUT_OF_RANGE",
        _INVALID,
        "",
        "what a meter is expected to give is below 0, or above all that is reckoned with",
        "give whole Wh; 0 where it gives nothing",
    )
    METER_GONE = (
        "METER_GONE",
        _PRECONDITION,
        "meter_id",
        "the meter is not in the network any more",
        "see whether its router is in service",
    )
    NO_ROUTE = (
        "NO_ROUTE",
        _PRECONDITION,
        "meter_id",
        "no power can come to the meter, or away from it, over any line in service",
        "see which lines are out of service, or full",
    )
    AVOIDED = (
        "AVOIDED",
        _PRECONDITION,
        "constraints.avoid_ids",
        "the cheapest way leads over what the order keeps off",
        "keep off less, or trade where the way is not part of the clearing",
    )
    LOSES_TOO_MUCH = (
        "LOSES_TOO_MUCH",
        _PRECONDITION,
        "constraints.max_loss_ppm",
        "the cheapest way loses more than the order takes",
        "raise the limit, or trade where the way is not part of the clearing",
    )
    BELOW_ONE_WH = (
        "BELOW_ONE_WH",
        _PRECONDITION,
        "wh",
        "what is left is less than a whole Wh on each way",
        "tender more at a time",
    )
    NOT_SOLVED = (
        "NOT_SOLVED",
        RefusalCode.UNAVAILABLE,
        "",
        "no prices were found for this book and network; nothing is matched",
        "tell whoever runs the market; another mechanism may clear it",
    )


class Refused(Exception):
    """A tender that is not taken. ``field`` is what is wrong of it, as the message says in words."""

    def __init__(self, reason: MarketReason, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.field = reason.field if field is None else field


if __name__ == "__main__":
    print(reasons_table(MarketReason))  # noqa: T201 - `python -m` pastes it into the documentation
