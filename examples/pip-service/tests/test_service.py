import json
import unittest

from app.service import LONGEST_TEXT, new_app


class ServiceTest(unittest.TestCase):
    def setUp(self) -> None:
        self.client = new_app().test_client()

    def test_answers(self) -> None:
        cases = [
            ("GET", "/healthz", b"", 200, "ok"),
            (
                "POST",
                "/v1/summary",
                "grüß dich".encode(),
                200,
                {
                    "words": 2,
                    "characters": 9,
                    "sha256": "04912357731daba88ae9c93116f388313f25dac0b61f2cd5ba463399ae3c902c",
                },
            ),
            ("POST", "/v1/summary", b"\xff", 415, {"error": "the text is not UTF-8"}),
            ("POST", "/v1/summary", b"a" * (LONGEST_TEXT + 1), 413, {"error": "the text is longer than 1 MiB"}),
            ("GET", "/v1/summary", b"", 405, {"error": "method not allowed"}),
        ]
        for method, path, body, status, want in cases:
            with self.subTest(method=method, path=path, status=status):
                answer = self.client.open(path, method=method, data=body)
                self.assertEqual(answer.status_code, status)
                self.assertEqual(json.loads(answer.get_data()), want)

    def test_metrics_count_requests(self) -> None:
        self.client.get("/healthz")
        self.client.get("/healthz")
        metrics = self.client.get("/metrics").get_data(as_text=True)
        self.assertIn('pip_service_requests_total{route="/healthz",status="200"} 2.0', metrics)


if __name__ == "__main__":
    unittest.main()
