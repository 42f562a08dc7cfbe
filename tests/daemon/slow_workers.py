"""SIGKILLs of a worker at random moments of training jobs, KILLS (50) of them: curves and weights files are those of an
undisturbed run. SEED repeats a run's choices."""

import os
import random
import time
import unittest

import harness
from harness import Daemon, send_signal
from test_kills import curve, train

KILLS = int(os.environ.get("KILLS", "50"))
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 31)))
EPOCHS, LIVING_SECONDS = 20, 1.0


class Workers(unittest.TestCase):
    def disturb(self, daemon, dice, job, left):
        """Kills its worker again and again; returns how often."""
        kills = step = 0
        while kills < left:
            now = daemon.get("/v1/jobs/%d" % job)
            if now["state"] == "succeeded":
                break
            if now["state"] == "running" and now["progress"]["step"] > step:  # three deaths without a step would end it
                time.sleep(dice.uniform(0, LIVING_SECONDS))
                now, worker = daemon.get("/v1/jobs/%d" % job), daemon.worker()
                if worker and now["state"] == "running":
                    step = now["progress"]["step"]
                    send_signal(worker)
                    kills += 1
            time.sleep(0.01)
        return kills

    def test_weights_are_those_of_an_undisturbed_run(self):
        print("SEED=%d KILLS=%d" % (SEED, KILLS), flush=True)
        dice, kills, jobs, begun = random.Random(SEED), 0, 0, time.monotonic()
        with Daemon({"checkpoint_seconds": 0.5}) as d:
            d.need_fashion()
            calm = d.submit(train("calm", epochs=EPOCHS))["id"]
            d.wait(calm, seconds=1200)
            want, weights = curve(d.events(calm)), d.weights("calm")
            while kills < KILLS:
                jobs += 1
                id = d.submit(train("it%d" % jobs, epochs=EPOCHS))["id"]
                kills += self.disturb(d, dice, id, KILLS - kills)
                d.wait(id, seconds=1200)
                self.assertEqual(curve(d.events(id)), want)
                self.assertEqual(d.weights("it%d" % jobs), weights)
        print("%d kills of the worker in %d jobs of %d steps, %.0f s" % (kills, jobs, EPOCHS * 50, time.monotonic() - begun))


if __name__ == "__main__":
    harness.main()
