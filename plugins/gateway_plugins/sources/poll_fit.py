"""Options of the poll source that make no sense together, or on their route: each is told with what to do about it.

Every one of them would be taken and then do nothing, or fail with each poll: an operator should hear of it before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.plugin import Options, Place, format_duration

if TYPE_CHECKING:
    from gateway_plugins.sources.poll_batch_options import Batch
    from gateway_plugins.sources.poll_options import PollOptions
    from gateway_plugins.sources.poll_pages_options import Pages


def unfit(options: PollOptions, place: Place) -> Iterator[tuple[str, str]]:
    """Keys, as `pages.first`, and why they are not right here."""
    yield from _always(options, place)
    yield from _sharing(options, place)
    yield from _pace(options)
    yield from _pages(options)
    yield from _since(options)
    yield from _format(options, place)
    yield from _batch(options, place)


def _always(options: PollOptions, place: Place) -> Iterator[tuple[str, str]]:
    """Without anybody there, what is asked has to be known."""
    if not options.always:
        return
    if not place.fixed:
        yield "always", f"which URL would that be? {place.path} stands for many: name one on a route of its own"
    elif options.credentials.forward:
        yield "always", "while nobody is there nobody's credentials are: set credentials to none or to a service"
    elif place.told:
        yield "always", f"the backend is told who each client is ({_and(place.told)}): there is no one answer to keep"
    elif place.own_host:
        yield (
            "always",
            "the backend is sent each client's Host: give the upstream one of its own, as in host: upstream",
        )


def _sharing(options: PollOptions, place: Place) -> Iterator[tuple[str, str]]:
    credentials = options.credentials
    if options.share_private and not options.share_by:
        yield "share_private", "there is nothing to share without share_by: name the claims there, or remove it"
    if options.share_by and not place.auth:
        yield "share_by", "nobody has claims here: give the route its auth, or remove share_by"
    elif options.share_by and not (credentials.forward or place.told):
        yield "share_by", "nothing that is sent differs by client, so all of them share already: remove it"
    for name in sorted({*credentials.names, *_headers(options)} & place.told):
        yield "credentials", f"{name} is set by auth.headers, and clients can't send it: leave one of the two"


def _headers(options: PollOptions) -> set[str]:
    """The headers of the gateway's own credentials."""
    service = options.credentials.service
    return set() if service is None else {name.decode() for name, _ in service.lines()}


def _pace(options: PollOptions) -> Iterator[tuple[str, str]]:
    base = options.interval.base
    if _given(options, "max_backoff") and options.max_backoff < base:
        yield "max_backoff", f"no pause is shorter than the interval ({format_duration(base)}): give more, or remove it"
    conditional = options.conditional
    if conditional.etag and _given(conditional, "ttl") and conditional.ttl <= base:
        yield (
            "conditional.ttl",
            f"each poll would ask for the whole: give more than the interval ({format_duration(base)})",
        )
    for key in ("max_304", "ttl"):
        if not conditional.etag and _given(conditional, key):
            yield f"conditional.{key}", f"with etag: false there is no 304: remove {key}"


def _pages(options: PollOptions) -> Iterator[tuple[str, str]]:
    pages, since = options.pages, options.since
    if pages is None:
        return
    if _given(pages, "first") and pages.page is None:
        yield "pages.first", "only with page: without it nobody counts the pages"
    if pages.etag_of_all and not options.conditional.etag:
        yield "pages.etag_of_all", "conditional.etag is false, so no ETag is used: remove one of the two"
    yield from _newest(options, pages)
    for key in ("page", "offset"):
        if since is not None and getattr(pages, key) == since.param:
            yield f"pages.{key}", f"since.param is {since.param} as well, and a parameter can't say both"


def _newest(options: PollOptions, pages: Pages) -> Iterator[tuple[str, str]]:
    base, every = options.interval.base, format_duration(pages.full_every)
    if not pages.stop_when_known:
        if _given(pages, "full_every"):
            yield "pages.full_every", "only with stop_when_known: without it each poll reads the whole"
    elif options.since is not None:
        yield "pages.stop_when_known", "since asks for changes alone, and reads all of them: remove one of the two"
    elif pages.max == 1:
        yield "pages.stop_when_known", "with max: 1 no further page is read anyhow: remove one of the two"
    elif pages.full_every <= base:
        yield "pages.full_every", f"each poll would read the whole: {every} is not longer than the interval"


def _since(options: PollOptions) -> Iterator[tuple[str, str]]:
    since, base = options.since, options.interval.base
    if since is None:
        return
    if since.full_every <= base:
        every = format_duration(since.full_every)
        yield "since.full_every", f"each poll would read the whole: {every} is not longer than the interval"


def _format(options: PollOptions, place: Place) -> Iterator[tuple[str, str]]:
    if place.items is None:
        return
    if options.decode == "text":
        yield "decode", "a text is no list: remove items, or decode it as csv or ndjson"
    elif options.decode == "xml" and place.items.at is None:
        yield "decode", "XML is no list: say in items.at where it is in it, as in shop.shirt[]"


def _batch(options: PollOptions, place: Place) -> Iterator[tuple[str, str]]:
    batch = options.batch
    if batch is None:
        return
    wrong = batch.unfit(place.path, place.params)
    if wrong is not None:
        yield ".".join(filter(None, ("batch", wrong[0]))), wrong[1]
    if options.pages is not None:
        yield "pages", "a resource does not come in pages; where the list of a batch does, write this as batch.pages"
    if options.since is not None:
        yield "since", "the resources of a batch come one by one, each whole: remove since or batch"
    yield from _batch_pages(options, batch)
    if options.decode == "text" or (options.decode == "xml" and batch.at is None):
        yield "decode", f"an answer in {options.decode} is no list of resources: say in batch.at where in XML it is"
    if options.request.method != "GET":
        yield "request.method", "a batch is asked for with GET: remove request or batch"


def _batch_pages(options: PollOptions, batch: Batch) -> Iterator[tuple[str, str]]:
    pages = batch.pages
    if pages is None:
        return
    for key in ("stop_when_known", "full_every"):
        if _given(pages, key):
            yield (
                f"batch.pages.{key}",
                f"the list of a batch is read until all that was asked for is found: remove {key}",
            )
    if _given(pages, "first") and pages.page is None:
        yield "batch.pages.first", "only with page: without it nobody counts the pages"
    if pages.etag_of_all and not options.conditional.etag:
        yield "batch.pages.etag_of_all", "conditional.etag is false, so no ETag is used: remove one of the two"
    for key in ("page", "offset"):
        if getattr(pages, key) == batch.param:
            yield f"batch.pages.{key}", f"batch.param is {batch.param} as well, and a parameter can't say both"


def _given(options: Options, key: str) -> bool:
    """Whether it is not the default, which means nothing where it does nothing."""
    return getattr(options, key) != type(options).model_fields[key].default  # type: ignore[no-any-return]


def _and(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
