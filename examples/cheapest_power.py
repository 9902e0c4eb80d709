"""A buyer of the cheapest power: it asks what each source would cost at its load, losses included, and takes the best.

    python examples/cheapest_power.py --load load5 --power 2MW --most 55

What has to be injected for a delivered MWh is more than that MWh, so the cheapest source is not always the one with the
lowest price. When a cheaper one is free, the new circuit has its power before the old one is released.
"""

import argparse
from dataclasses import dataclass

from digitalgrid.client import DEFAULT_SERVER, PowerClient, RequestRefused, power_request
from digitalgrid.units import format_power, parse_power_w
from digitalgrid.v1 import northbound_pb2 as pb

# A switch wears converters: what it saves must be worth it.
WORTH_A_SWITCH = 0.02


@dataclass(frozen=True)
class Offer:
    """What a MWh delivered to the load costs, from one source over the best path with room."""

    source_id: str
    cost_per_mwh: float
    circuit: pb.Circuit


def offers(client: PowerClient, load_id: str, power_w: float) -> list[Offer]:
    """Of all sources that could serve it now, the cheapest first. Nothing is reserved."""
    found = []
    for source in client.get_topology().sources:
        try:
            answer = client.compute_power(
                power_request(load_id, power_w, source_ids=[source.source_id])
            )
        except RequestRefused:
            continue
        (circuit,) = answer.circuits
        # What is injected is paid for, and what arrives is bought.
        cost = source.cost_per_mwh * circuit.injected_w / circuit.power_w
        found.append(Offer(source.source_id, cost, circuit))
    return sorted(found, key=lambda offer: offer.cost_per_mwh)


def buy(
    client: PowerClient,
    load_id: str,
    power_w: float,
    most_per_mwh: float,
    present: Offer | None = None,
) -> Offer | None:
    """The best offer that is not too dear, taken; the present one, where nothing is better by enough."""
    best = next(iter(offers(client, load_id, power_w)), None)
    if best is None or best.cost_per_mwh > most_per_mwh:
        return present
    if present and best.cost_per_mwh >= present.cost_per_mwh * (1 - WORTH_A_SWITCH):
        return present
    request = power_request(load_id, power_w, source_ids=[best.source_id])
    circuits = client.request_power(request).circuits
    (circuit,) = client.wait_until_active(each.circuit_id for each in circuits)
    if present:
        client.release_circuit(present.circuit.circuit_id)
    return Offer(best.source_id, best.cost_per_mwh, circuit)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--server", default=DEFAULT_SERVER)
    options.add_argument("--load", required=True)
    options.add_argument("--power", type=parse_power_w, required=True)
    options.add_argument("--most", type=float, required=True, help="of a MWh, losses included")
    asked = options.parse_args()
    with PowerClient(asked.server) as client:
        for offer in offers(client, asked.load, asked.power):
            print(f"{offer.source_id}: {offer.cost_per_mwh:.2f} a MWh delivered")
        bought = buy(client, asked.load, asked.power, asked.most)
        if bought is None:
            print(f"nothing costs {asked.most:g} or less")
        else:
            said = f"{format_power(asked.power)} from {bought.source_id}"
            print(
                f"bought {said} at {bought.cost_per_mwh:.2f}: circuit {bought.circuit.circuit_id}"
            )


if __name__ == "__main__":
    main()
