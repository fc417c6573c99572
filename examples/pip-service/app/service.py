import hashlib

from flask import Flask, Response, jsonify, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

LONGEST_TEXT = 1 << 20


def new_app() -> Flask:
    """The service with its own metrics registry."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LONGEST_TEXT
    app.json.sort_keys = False
    registry = CollectorRegistry()
    requests = Counter(
        "pip_service_requests", "Requests by route and status.", ["route", "status"], registry=registry
    )

    @app.after_request
    def count(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else ""
        requests.labels(route, response.status_code).inc()
        return response

    @app.get("/healthz")
    def health() -> Response:
        return jsonify("ok")

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    @app.post("/v1/summary")
    def summarize() -> tuple[Response, int] | Response:
        text = request.get_data()
        try:
            characters = text.decode("utf-8")
        except UnicodeDecodeError:
            return jsonify(error="the text is not UTF-8"), 415
        return jsonify(
            words=len(characters.split()), characters=len(characters), sha256=hashlib.sha256(text).hexdigest()
        )

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(_: RequestEntityTooLarge) -> tuple[Response, int]:
        return jsonify(error="the text is longer than 1 MiB"), 413

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> tuple[Response, int]:
        return jsonify(error=error.name.lower()), error.code or 500

    return app
