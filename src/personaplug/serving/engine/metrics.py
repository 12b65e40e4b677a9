"""What the server counts of itself, for Prometheus; nothing in it tells who asked or what."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The instruments of one server.

    Attributes:
        queue: Questions that wait.
        batch_rows: Questions answered together.
        tokens: Tokens read and written, by ``kind``: ``prompt`` or ``answer``.
        stage: Seconds by ``stage``: ``wait`` in the queue, ``read`` (histories and embeddings), ``write`` a batch,
            ``answer`` from question to whole answer.
        answers: Whole answers, by ``model`` and ``persona``.
        failures: Questions that could not be answered.
        persona_lookups: Histories found in memory or not, by ``result``: ``hit`` or ``miss``.
        personas: Histories in memory.
        requests: HTTP requests, by ``route`` and ``status``.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.queue = Gauge("personaplug_queue", "Questions that wait.", registry=self.registry)
        self.batch_rows = Histogram(
            "personaplug_batch_rows", "Questions answered together.", buckets=_ROWS, registry=self.registry
        )
        self.tokens = Counter("personaplug_tokens", "Tokens read and written.", ["kind"], registry=self.registry)
        self.stage = Histogram(
            "personaplug_stage_seconds", "Seconds by stage.", ["stage"], buckets=_SECONDS, registry=self.registry
        )
        self.answers = Counter("personaplug_answers", "Whole answers.", ["model", "persona"], registry=self.registry)
        self.failures = Counter("personaplug_failures", "Questions not answered.", registry=self.registry)
        self.persona_lookups = Counter(
            "personaplug_persona_lookups", "Histories looked for in memory.", ["result"], registry=self.registry
        )
        self.personas = Gauge("personaplug_personas", "Histories in memory.", registry=self.registry)
        self.requests = Counter("personaplug_requests", "HTTP requests.", ["route", "status"], registry=self.registry)
