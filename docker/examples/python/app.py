"""A server of the standard library, so that the example needs no framework."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2


def cities():
    # libpq reads PGHOST, PGDATABASE and PGUSER itself, but no password from a file of that form.
    with open(os.environ["PGPASSWORD_FILE"]) as file:
        connection = psycopg2.connect(password=file.read().strip())
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM cities ORDER BY name")
            return [name for (name,) in cursor.fetchall()]
    finally:
        connection.close()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            status, body = 200, cities()
        except psycopg2.Error as error:
            print(f"GET {self.path}: {error}")
            status, body = 503, {"status": "unavailable"}
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


ThreadingHTTPServer(("", 8000), Handler).serve_forever()
