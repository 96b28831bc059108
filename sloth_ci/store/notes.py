"""Notes: texts that extensions remember."""

from sloth_ci.store.rows import make_storable
from sloth_ci.store.verbs import Verbs


class NoteVerbs(Verbs):
    """What the store does about notes; app 0 stands for extensions of the server."""

    def note(self, app_id: int, extension: str, key: str) -> str | None:
        """The text that the extension keeps under that key."""
        rows = self._reader.rows(
            "SELECT text FROM notes WHERE app = ? AND extension = ? AND key = ?",
            (app_id, extension, key),
        )
        return rows[0][0] if rows else None

    def set_note(self, app_id: int, extension: str, key: str, text: str) -> None:
        """Keep a text; safe on the disk on return."""
        values = (app_id, extension, key, make_storable(text))
        self._writer.run(
            lambda db: db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?)", values)
        )
