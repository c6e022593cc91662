"""What the process counts, in a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """Counters and gauges of one ``zuruf connect``; labels are bounded by the configuration and by our own words."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.posts = Counter(
            "zuruf_posts_received", "Posts that the broker has", ["tenant", "connector"], registry=self.registry
        )
        self.refused = Counter(
            "zuruf_webhook_refused", "Requests and events refused at the webhook", ["reason"], registry=self.registry
        )
        self.replays = Counter("zuruf_webhook_replays", "Requests answered as before", registry=self.registry)
        self.chats = Gauge("zuruf_chat_connections", "Open chat sockets", registry=self.registry)
        self.chat_refused = Counter(
            "zuruf_chat_refused", "Lines and connections refused", ["reason"], registry=self.registry
        )
        self.published = Counter(
            "zuruf_answers_published", "What became of answers", ["status"], registry=self.registry
        )
        self.retries = Counter("zuruf_outbox_retries", "Calls that have to be made again", registry=self.registry)
        self.pending = Gauge("zuruf_outbox_pending", "Answers read and not yet settled", registry=self.registry)
        for status in ("sent", "failed", "unknown"):
            self.published.labels(status)
