import unittest

from modular_runtime.testing import check

from stage import stage


class Stage(unittest.TestCase):
    def test_each_event_gets_its_level(self) -> None:
        events = [{"user": "ada", "value": 12}, {"user": "bob", "value": 3}, {"user": "cleo", "value": -1}]
        self.assertEqual(
            check(stage, events),
            [{"user": "ada", "value": 12, "level": "high"}, {"user": "bob", "value": 3, "level": "low"}],
        )
