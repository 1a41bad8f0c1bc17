"""A machine loses its power and is started again: nothing is left of what its guest remembered of its disk."""

from __future__ import annotations

import time

from drainproof.record import EventLog
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline
from scenarios.bench import Guest
from scenarios.disk_copies import GuestOf, set_running, start_and_ask, wait_stopped

SOURCE = "power-cut"
"""The source of its events: begin, and end once another boot of the guest answers."""


def power_cut(machine: VirtualMachine, guest_of: GuestOf, events: EventLog, deadline: Deadline) -> Guest:
    """Stop a machine, start it, and return its guest as soon as that answers.

    The machine has to give its guest no time to shut down in order, or the guest writes down what it remembers first.
    Raises DrainproofError when it does not stop or its guest does not answer in time.
    """
    events.add(SOURCE, "begin", machine.name)
    set_running(machine, running=False)
    wait_stopped(machine, deadline)
    stopped = time.monotonic_ns()
    answer = start_and_ask(machine, guest_of, deadline)
    events.add(
        SOURCE, "end", machine.name, stopped_ns=stopped, answered_ns=answer.t_ns, boot_id=answer.boot_id,
        address=answer.address,
    )
    return guest_of(machine.name, answer.address)
