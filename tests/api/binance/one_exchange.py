"""ccxt as its users have it, without the hundred exchanges that no test asks for.

`import ccxt` imports each exchange that it knows, three times with its other faces: five seconds
of processor time where none of it is compiled yet, and twice what is needed afterwards.
Here the package's own lines that import another exchange than Binance are left out, and nothing
else: what the tests drive is the library's code as it was installed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

_FACES = {"ccxt", "ccxt.async_support", "ccxt.pro"}
_ANOTHER = re.compile(
    rb"^from ccxt(?:\.async_support|\.pro)?\.(?!binance)(\w+) import \1\b.*$", re.MULTILINE
)


class _Loader(SourceFileLoader):
    """Loads a face of ccxt without the other exchanges."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the compiled package, which is too small to be worth keeping."""
        text = self.get_data(self.path)
        code: CodeType = self.source_to_code(_ANOTHER.sub(b"", text), self.path)
        return code


class OneExchange:
    """Finds the faces of ccxt where they are installed."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a face of ccxt, with our loader; of nothing else."""
        found = PathFinder.find_spec(name, path, target) if name in _FACES else None
        if found is not None and found.origin is not None:
            found.loader = _Loader(name, found.origin)
        return found


def import_only_binance() -> None:
    """Let `import ccxt` import Binance only, in this process."""
    if OneExchange not in sys.meta_path:
        sys.meta_path.insert(0, OneExchange)
