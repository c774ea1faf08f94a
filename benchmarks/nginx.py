"""Configurations for nginx: Nchan for fan-out and memory, and a proxy with a keep-alive upstream.

One worker, loopback only, everything that it writes inside one folder.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

_MAIN = """\
{load}
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 20480; }}
http {{
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{http}
}}
"""

# The channel keeps as many messages as ours does, so that bursts are not lost to Nchan's default of ten.
_NCHAN = """\
  access_log off;
  nchan_max_reserved_memory 64M;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /sub {{
      nchan_subscriber websocket;
      nchan_channel_id $arg_channel;
      nchan_subscriber_first_message newest;
    }}
    location = /pub {{
      nchan_publisher websocket;
      nchan_channel_id $arg_channel;
      nchan_message_buffer_length 1000;
    }}
  }}
"""

_PROXY = """\
  access_log {folder}/access.log;
  upstream backend {{ server 127.0.0.1:{upstream}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    keepalive_requests 1000000000;
    location / {{
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
"""


def missing(nchan: bool) -> str:
    """Why nginx cannot run here; empty when it can."""
    if program() is None:
        return "nginx is not installed"
    if nchan and not _MODULE.exists():
        return "Nchan is not installed (Debian: libnginx-mod-nchan)"
    return ""


def program() -> str | None:
    """Where nginx is."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def nchan(folder: Path, port: int) -> list[str]:
    """The command of a server with `/sub?channel=` and `/pub?channel=`."""
    return _command(folder, f"load_module {_MODULE};", _NCHAN.format(port=port))


def proxy(folder: Path, port: int, upstream: int) -> list[str]:
    """The command of a reverse proxy with an access log."""
    return _command(folder, "", _PROXY.format(folder=folder, port=port, upstream=upstream))


def _command(folder: Path, load: str, http: str) -> list[str]:
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_MAIN.format(load=load, user=user, folder=folder, http=http))
    return [program() or "nginx", "-p", str(folder), "-c", str(config), "-e", "stderr"]
