"""nginx in a node: a web server or cache with all of its files in a folder of the run, none of the host's touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed.daemon import Daemon
from testbed.nodes import Host

ACCESS_LOG = "logs/{node}-access.jsonl"
"""In the run directory: one JSON object a request, written when it ends."""

_LOG_FORMAT = (
    '{"t": $msec, "client": "$remote_addr", "server": "$server_addr", "method": "$request_method", '
    '"uri": "$request_uri", "status": $status, "octets": $body_bytes_sent, "seconds": $request_time, '
    '"cache": "$upstream_cache_status"}'
)
# One worker, as root like all that runs in a node: what it may reach ends at its sandbox. The cache manager and the
# loader are nginx's own; the master ends all of them.
_FRAME = """\
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
lock_file {folder}/nginx.lock;
error_log stderr notice;
events {{ worker_connections 512; }}
http {{
  log_format roamlab escape=json '{log_format}';
  access_log {access_log} roamlab;
  client_body_temp_path {folder}/temporary/body;
  proxy_temp_path {folder}/temporary/proxy;
  fastcgi_temp_path {folder}/temporary/fastcgi;
  uwsgi_temp_path {folder}/temporary/uwsgi;
  scgi_temp_path {folder}/temporary/scgi;
  server_tokens off;
{body}
}}
"""


class Nginx(Daemon):
    """One nginx; `body` is the inside of its `http` block, in which {folder} stands for its folder."""

    def __init__(
        self, node: Host, folder: Path, body: str, files: Mapping[str, str], access_log: Path, log: Path
    ) -> None:
        """`files`: what it serves, by name below {folder}/content."""
        super().__init__(node, "nginx", log)
        self.folder = folder
        self.body = body
        self.files = files
        self.access_log = access_log

    @property
    def config(self) -> Path:
        """Its configuration."""
        return self.folder / "nginx.conf"

    def render(self) -> Mapping[Path, str]:
        """Return the configuration, the content, and empty folders' placeholders."""
        body = self.body.replace("{folder}", str(self.folder))
        frame = _FRAME.format(folder=self.folder, log_format=_LOG_FORMAT, access_log=self.access_log, body=body)
        content = {self.folder / "content" / name: text for name, text in self.files.items()}
        return {self.config: frame, self.folder / "temporary" / "README": "nginx's\n", self.access_log: "", **content}

    def dry_run(self) -> Sequence[str]:
        """Have nginx check its configuration."""
        return [*self.argv(), "-t"]

    def argv(self) -> Sequence[str]:
        """Run in the foreground; -e keeps it from opening the host's error log before it has read its own file."""
        return ["nginx", "-p", str(self.folder), "-c", str(self.config), "-e", "stderr"]

    def has_started(self) -> bool:
        """Tell whether the pid file names the running process: it is written once all sockets listen."""
        try:
            return int((self.folder / "nginx.pid").read_text()) == self.pid
        except (FileNotFoundError, ValueError):
            return False
