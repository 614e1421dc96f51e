"""Reverse proxies that take a prefix off the path: a small one of our own, and nginx."""

import http.client
import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

PREFIX = "/clinic/room/"
LEFT_OUT = {"connection", "transfer-encoding", "content-length"}
NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/room.pem;
    ssl_certificate_key {folder}/room.key;
    location / {{ return 404; }}
    location {prefix} {{
      proxy_pass {upstream}/;
      proxy_set_header Host $host:$server_port;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
"""


def make_certificate(folder):
    """A certificate for 127.0.0.1 and its key, in two files of the folder."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("makes a certificate with openssl, which is not installed: apt install openssl")
    cert, key = folder / "room.pem", folder / "room.key"
    what = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    where = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert]
    subprocess.run([openssl, *what, *where], capture_output=True, check=True)
    return cert, key


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


@contextmanager
def own_proxy(folder, port, upstream):
    """A proxy with TLS that passes on what is under the prefix; all else is 404."""
    host = upstream.removeprefix("http://")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if not self.path.startswith(PREFIX):
                self.reply(404, [], b"not here")
                return
            headers = dict(self.headers) | {"X-Forwarded-Proto": "https"}
            connection = http.client.HTTPConnection(host, timeout=60)
            path = "/" + self.path.removeprefix(PREFIX)
            connection.request(self.command, path, body or None, headers)
            answer = connection.getresponse()
            self.reply(answer.status, answer.getheaders(), answer.read())
            connection.close()

        def reply(self, status, headers, body):
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in LEFT_OUT:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = pass_on  # noqa: N815

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "room.pem", folder / "room.key")
    # the handshake in the connection's own thread: a browser opens some that it does not use yet
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def nginx_proxy(folder, port, upstream):
    """The same by nginx."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("serves the room behind nginx, which is not installed: apt install nginx")
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, prefix=PREFIX, upstream=upstream))
    command = [nginx, "-c", config, "-p", folder, "-e", folder / "error.log"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        while not _answers(port):
            assert process.poll() is None, process.stderr.read().decode()
        yield
    finally:
        process.terminate()
        process.communicate()


def _answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 5):
            return True
    except OSError:
        return False
