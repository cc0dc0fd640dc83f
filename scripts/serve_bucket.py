#!/usr/bin/env python3
"""Serves a folder as an S3 bucket, for measuring reads without a network: ListObjectsV2, HEAD and ranged GET, no signatures.

    scripts/serve_bucket.py shop 9000 &
    export AWS_ENDPOINT_URL=http://127.0.0.1:9000 AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x
    nightshelf build --events s3://shop/events/ ...

The tests have a real S3 server in process (signatures, errors, conditional reads); this one is for speed only.
"""

import hashlib
import http.server
import os
import re
import sys
import urllib.parse
from xml.sax.saxutils import escape

ROOT = os.path.abspath(sys.argv[1])
BUCKET = os.path.basename(ROOT)


def etag(stat):
    return '"%s"' % hashlib.md5(f"{stat.st_mtime_ns}-{stat.st_size}".encode()).hexdigest()


def listing(prefix):
    rows = []
    for folder, _, names in os.walk(ROOT):
        for name in names:
            path = os.path.join(folder, name)
            key = os.path.relpath(path, ROOT)
            if key.startswith(prefix):
                stat = os.stat(path)
                rows.append((key, stat.st_size, etag(stat)))
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{size}</Size><ETag>{escape(tag)}</ETag>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified><StorageClass>STANDARD</StorageClass></Contents>"
        for key, size, tag in sorted(rows)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(rows)}</KeyCount><MaxKeys>100000</MaxKeys>"
        f"<IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
    ).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, headers, body=b""):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if body and self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        parts = urllib.parse.unquote(url.path).lstrip("/").split("/", 1)
        query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        if parts[0] != BUCKET:
            return self.answer(404, {"Content-Length": "0"})
        if len(parts) == 1 or not parts[1]:
            body = listing(query.get("prefix", [""])[0])
            return self.answer(200, {"Content-Type": "application/xml", "Content-Length": str(len(body))}, body)
        path = os.path.join(ROOT, parts[1])
        if not os.path.isfile(path):
            return self.answer(404, {"Content-Length": "0"})
        stat = os.stat(path)
        headers = {"ETag": etag(stat), "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "Accept-Ranges": "bytes"}
        first, last, status = 0, stat.st_size - 1, 200
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if asked:
            status = 206
            if asked[1]:
                first = int(asked[1])
                last = min(int(asked[2]), last) if asked[2] else last
            else:
                first = max(0, stat.st_size - int(asked[2]))
            headers["Content-Range"] = f"bytes {first}-{last}/{stat.st_size}"
        headers["Content-Length"] = str(last - first + 1)
        self.answer(status, headers)
        if self.command != "HEAD":
            self.wfile.flush()
            with open(path, "rb") as file:
                self.connection.sendfile(file, first, last - first + 1)

    do_HEAD = do_GET


http.server.ThreadingHTTPServer.request_queue_size = 256
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
