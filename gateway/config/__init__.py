"""YAML to an immutable snapshot, with every mistake at its place; nothing else reads YAML or the environment."""

from gateway.config.files import Watched
from gateway.config.json_schema import schema
from gateway.config.reread import Rereading
from gateway.config.snapshot import DEFAULT_FILE, effective, load, load_from_environment

__all__ = ["DEFAULT_FILE", "Rereading", "Watched", "effective", "load", "load_from_environment", "schema"]
