"""The clinic observer's run: its staff at work in this process, or spread over Locust's workers, until SIGTERM."""

from __future__ import annotations

import logging
import random
import signal
from pathlib import Path

import gevent
from locust.env import Environment

from load.clinic_master import lead
from load.clinic_users import NAME, STREAMS, hook, staff
from load.observer import Observer, observing, ready, rest
from load.plan import Plan


def main(plan: Plan, plan_file: Path) -> int:
    """Let the staff work until SIGTERM."""
    logging.basicConfig(level=logging.WARNING)
    random.seed(plan.seed)  # Locust chooses tasks by the module's own generator
    rates = {"users": float(plan.load.clinic_users)}
    with observing(NAME, plan, STREAMS, rates=rates) as observer:
        gevent.signal_handler(signal.SIGTERM, observer.stop.set)
        if plan.clinic_workers > 1:
            lead(observer, plan_file)
        else:
            _work(observer)
    return 0


def _work(observer: Observer) -> None:
    portal, recorder = observer.plan.portal, observer.recorder
    environment = Environment(
        user_classes=[staff(observer.plan, recorder)], host=portal.front,
        stop_timeout=0,
    )
    environment.events.request.add_listener(hook(recorder))  # type: ignore[no-untyped-call]
    runner = environment.create_local_runner()
    users = observer.plan.load.clinic_users
    runner.start(users, spawn_rate=users)
    ready(observer)
    rest(observer)
    runner.quit()
