"""Words before a program's own with which it begins deaf, as under `nohup` in a script's background job."""

DEAF = ["sh", "-c", 'trap "" HUP INT QUIT; exec "$@"', "sh"]
