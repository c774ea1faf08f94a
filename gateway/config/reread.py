"""The file of a gateway that runs, read again: what it cannot take on while it runs is a mistake like any other."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.config.compile import compile_config
from gateway.config.files import Files
from gateway.config.named import located
from gateway.config.plugins import Model
from gateway.config.snapshot import Checked, checked
from gateway.core.plan import fixed
from gateway.core.settings import Gateway
from gateway.errors import ConfigError


class Rereading:
    """One file with all that it includes; `files` notes what it was made of when it was read last."""

    def __init__(self, path: str, environ: Mapping[str, str]) -> None:
        self.path = path
        self.files = Files()
        self._environ = environ
        self._model: Model | None = None

    def first(self) -> Gateway:
        """As the gateway starts with it; raises ConfigError."""
        return self._compiled(self._checked())

    def __call__(self, running: Gateway) -> Gateway:
        """As it is now. Raises ConfigError with every mistake, and with what differs that takes a restart."""
        found = self._checked()
        settings = self._compiled(found)
        problems = [found.tree.problem(where, message, key=True) for where, message in fixed(running, settings)]
        if problems:
            raise ConfigError(problems)
        return settings

    def _checked(self) -> Checked:
        self.files.begin()
        found = checked(self.path, self._environ, model=self._model, files=self.files)
        self._model = found.model  # plugins are the same as long as a process lives
        return found

    def _compiled(self, found: Checked) -> Gateway:
        return compile_config(located(found.config, found.tree), found.broker, found.tree)
