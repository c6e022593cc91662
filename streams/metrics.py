"""The worker's metrics, in the terms of the field; see docs/metrics.md."""

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library types its parts unevenly

RUN_HOLES = Counter(
    "zuruf_run_holes_total", "Runs that began beyond the expected offset and were read again", ["topic"]
)
RUN_ACCEPTED = Counter("zuruf_run_holes_accepted_total", "Holes that came again and were taken as they are", ["topic"])
RUN_STALE = Counter("zuruf_run_stale_total", "Runs dropped: positions unknown, or of an older generation", ["topic"])
RUN_REREAD = Counter("zuruf_run_reread_total", "Records cut from runs that began below the expected offset", ["topic"])
GROUP_RECORDS = Histogram(
    "zuruf_group_records", "Records in a committed group", ["step"], buckets=(1, 4, 16, 64, 256, 1024, 4096, 16384)
)
FLUSH_SECONDS = Histogram(
    "zuruf_flush_seconds",
    "From a group's first send to its rows' write",
    ["step"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
RECORDS = Counter("zuruf_records_total", "Records folded", ["step"])
REPEATED = Counter("zuruf_records_repeated_total", "Records dropped because their source was seen before", ["step"])
DEAD_LETTERS = Counter("zuruf_dead_letters_total", "Records that could not be processed", ["step", "cause"])
STEP_BUGS = Counter("zuruf_step_bugs_total", "Exceptions of a step that were not the event's fault", ["step"])
REBALANCES = Counter("zuruf_rebalances_total", "Assignments that this worker was given")
TAKEOVERS = Counter("zuruf_takeovers_total", "Takeover records written")
POSTS_DROPPED = Counter("zuruf_posts_dropped_total", "Posts that concern no brand", ["tenant"])
READY = Gauge("zuruf_worker_ready", "1 while this worker holds its partitions and folds")
LAG_RECORDS = Gauge("zuruf_consumer_lag_records", "Records of this worker's partitions not yet committed", ["topic"])
WINDOW_LATE = Counter("zuruf_window_late_total", "Events whose window had been closed before they came")
