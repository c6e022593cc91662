"""
A post as connectors write it to the topic ``posts``: CloudEvents 1.0, structured JSON, ActivityStreams names in ``data``.

Anyone with a Kafka client can write one. Required: the attributes ``specversion, id, source, type, time`` and in ``data``
``tenant, platform, account_id, object_uri, text``. What is unknown is left out or null, never 0.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from models.labels import Addressed

TEXT_MAX: Final = 40_000
"""Code points of a post's text; no platform that we read allows more."""

Id = Annotated[str, Meta(min_length=1, max_length=1024)]
Name = Annotated[str, Meta(max_length=1024)]
Text = Annotated[str, Meta(max_length=TEXT_MAX)]
Moment = Annotated[int, Meta(ge=0)] | Annotated[datetime, Meta(tz=True)]
"""Unix ms, or RFC 3339 with an offset, as it came; ``unix_ms`` makes one of both."""

PostType = Literal[
    "zuruf.post.created",
    "zuruf.post.updated",
    "zuruf.post.deleted",
    "zuruf.tick",
]


def unix_ms(moment: int | datetime) -> int:
    """Return the moment as Unix ms."""
    return moment if isinstance(moment, int) else int(moment.timestamp() * 1000)


class Author(Struct, frozen=True, gc=False, omit_defaults=True):
    """Who wrote a post, as far as the platform tells."""

    uri: Name = ""
    native_id: Name = ""
    handle: Name = ""
    name: Name = ""
    followers: int | None = None
    following: int | None = None
    posts: int | None = None
    verified: bool | None = None
    created_at: Moment | None = None
    extra: dict[str, float] = {}
    is_bot: bool = False
    is_brand: bool = False
    crm_id: Name = ""
    """The brand's own number of this customer, where the sender knows it: only it links accounts of several platforms."""
    vip: bool = False
    """Marked by the brand's CRM."""


class Mention(Struct, frozen=True, gc=False, omit_defaults=True):
    """An account named in a text; ``start`` and ``end`` count code points."""

    handle: Name = ""
    uri: Name = ""
    start: int = 0
    end: int = 0


class Attachment(Struct, frozen=True, gc=False, omit_defaults=True):
    """A picture, film or file that came with a post; its address may expire."""

    type: Name = ""
    mime: Name = ""
    url: Name = ""
    width: int | None = None
    height: int | None = None
    alt: Name = ""
    expires_at: Moment | None = None


class Metrics(Struct, frozen=True, gc=False, omit_defaults=True):
    """What others did with the post, at its arrival."""

    likes: int | None = None
    reposts: int | None = None
    replies: int | None = None
    views: int | None = None


class PostData(Struct, frozen=True, gc=False, omit_defaults=True):
    """The post itself. ``brand`` is a hint; where it is absent, brand watch finds it."""

    tenant: Id
    platform: Id
    account_id: Id
    object_uri: Id
    text: Text
    brand: Name | None = None
    native: dict[str, str] = {}
    """Ids that the connector needs to answer, such as cid or chat_id."""
    kind: Literal["post", "comment", "reply", "mention", "dm", "review", "email", "chat", "reaction"] = "post"
    visibility: Literal["public", "unlisted", "followers", "private"] = "public"
    author: Author = Author()
    text_html: Text | None = None
    title: Name | None = None
    langs: tuple[str, ...] = ()
    created_at: Moment | None = None
    source_at: Moment | None = None
    received_at: Moment | None = None
    """Arrival at the connector, from which service levels count."""
    version: int = 0
    edited_at: Moment | None = None
    conversation_uri: Name | None = None
    parent_uri: Name | None = None
    mentions: tuple[Mention, ...] = ()
    addressed: Addressed | None = None
    hashtags: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    permalink: Name | None = None
    attachments: tuple[Attachment, ...] = ()
    rating: float | None = None
    metrics: Metrics | None = None
    reply_until: Moment | None = None
    reply_until_human: Moment | None = None
    can_reply_public: bool = True
    can_reply_private: bool = False
    raw_ref: Name | None = None


class Post(Struct, frozen=True, gc=False, omit_defaults=True):
    """One record of the topic ``posts``."""

    specversion: Literal["1.0"]
    id: Id
    source: Id
    type: PostType
    time: Annotated[datetime, Meta(tz=True)]
    data: PostData
    subject: Name | None = None
    partitionkey: Name | None = None
    datacontenttype: Name | None = None
    dataschema: Name | None = None


def conversation_of(data: PostData) -> str:
    """Return the thread that a post belongs to: its root, or itself."""
    return data.conversation_uri or data.object_uri


def key_of(data: PostData) -> bytes:
    """Return the Kafka key of a post: tenant and conversation, so that a thread stays in order."""
    return f"{data.tenant}|{conversation_of(data)}".encode()


class SocialPost(Struct, frozen=True, gc=False, omit_defaults=True):
    """What the flow needs of a post, with all times as Unix ms."""

    id: str
    platform: str
    account_id: str
    object_uri: str
    conversation_uri: str
    text: str
    received_at: int
    created_at: int
    author: Author = Author()
    kind: str = "post"
    visibility: str = "public"
    parent_uri: str = ""
    permalink: str = ""
    native: dict[str, str] = {}
    reply_until: int | None = None
