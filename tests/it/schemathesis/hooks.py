"""What schemathesis does not know of our content types."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    """One value, which is one line."""
    return value if isinstance(value, bytes) else (json.dumps(value) + "\n").encode()


@schemathesis.deserializer("application/openmetrics-text", "application/x-ndjson")
def text(ctx, response):
    """The page of metrics is text, and so are the lines of an export."""
    return response.content.decode()
