#!/usr/bin/env python3
"""Images that are small as files and large as pictures: who sends many of them holds up nobody else."""

import threading
import unittest

import harness
from harness import main, small_job, wait_for
from people import Person, token

SIDE, MANY = 6000, 12  # 36 million pixels, which the file packs into some 35 kB


class Large(unittest.TestCase):
    def setUp(self):
        d = self.daemon = self.enterContext(harness.Daemon())
        d.need_fashion()
        self.anna, self.bert = Person(d, token(d, "anna")), Person(d, token(d, "bert"))
        for who, name in ((self.anna, "annas"), (self.bert, "berts")):
            job = "/v1/jobs/%d" % who.submit(small_job(max_steps=1, save_as=name))
            wait_for(lambda who=who, job=job: who.get(job)["state"] == "succeeded", what="a model")
        self.large = harness.png(SIDE, SIDE, bytes(SIDE * SIDE))
        self.small = harness.png(28, 28, bytes(28 * 28))
        self.answers = []

    def anna_sends(self):
        self.answers.append(self.anna.request("POST", "/v1/models/annas/classify", self.large))

    def bert_sends(self, body):
        """How many of anna's were answered meanwhile."""
        before = len(self.answers)
        status, _, answer = self.bert.request("POST", "/v1/models/berts/classify", body)
        self.assertEqual(status, 200, answer)
        return len(self.answers) - before

    def test_others_wait_for_one_at_most(self):
        threads = [threading.Thread(target=self.anna_sends) for _ in range(MANY)]
        for t in threads:
            t.start()
        wait_for(lambda: self.answers, what="anna's first answer")
        self.assertLessEqual(self.bert_sends(self.small), 1)
        # What is on its way when it comes, and one that may have been answered while the request itself came.
        self.assertLessEqual(self.bert_sends(self.large), 3)
        self.assertLess(len(self.answers), MANY - 2, "anna was done too soon for this to show anything")
        for t in threads:
            t.join()
        self.assertEqual([(status, a["image"]["height"]) for status, _, a in self.answers], [(200, SIDE)] * MANY)

    def test_same_as_a_small_one(self):
        """The large one goes from decoder to decoder with what else was in the same message."""
        status, _, alone = self.bert.request("POST", "/v1/models/berts/classify", self.small)
        self.assertEqual(status, 200)
        got = [None] * 24

        def send(i):
            got[i] = self.bert.request("POST", "/v1/models/berts/classify", self.large if i % 6 == 0 else self.small)

        threads = [threading.Thread(target=send, args=(i,)) for i in range(len(got))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual({status for status, _, _ in got}, {200})
        self.assertEqual([a for i, (_, _, a) in enumerate(got) if i % 6], [alone] * 20)
        self.assertEqual({a["image"]["height"] for _, _, a in got[::6]}, {SIDE})


if __name__ == "__main__":
    main()
